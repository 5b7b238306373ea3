"""Files of intake messages: one JSON document, a list of them, or one a line; judged by the contract."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from cli.failure import USAGE, Failure
from cli.reading import parsed, text
from contracts import subjects
from contracts.envelope import Envelope, UnknownData
from contracts.fields import meant
from contracts.intake import INTAKE, LARGEST
from contracts.problem import complaint, without_echoes

MOST = 64 * 1024 * 1024
"""Octets of a file of messages: some hundred thousand of them."""

MOST_MESSAGES = 100_000
_HALF = re.compile("[\ud800-\udfff]")
_HEAD: TypeAdapter[Envelope[UnknownData]] = TypeAdapter(Envelope[UnknownData])


@dataclass(frozen=True, slots=True)
class IntakeMessage:
    """One message as it stands in a file, byte for byte, and the line where it begins."""

    path: Path
    line: int
    text: str

    @property
    def content(self) -> Any:
        """What it says; None where it is not JSON."""
        try:
            return parsed(self.text)
        except ValueError:
            return None

    def _field(self, name: str) -> str | None:
        found = self.content
        value = found.get(name) if isinstance(found, Mapping) else None
        return value if isinstance(value, str) else None

    @property
    def id(self) -> str | None:
        """The message's id, if it has a readable one."""
        return self._field("id")

    @property
    def type(self) -> str | None:
        """The message's type, if it has a readable one."""
        return self._field("type")

    def subject(self, source: str) -> str:
        """Where it belongs; what can't be read goes where most requests go, for registration to answer."""
        words = (self.type or "").split(".")
        if len(words) == 3 and all(word.replace("-", "").isalnum() for word in words):
            return subjects.intake(source, words[0], words[1])
        return subjects.intake(source, "enrolment", "request")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the contract says about a message: errors make registration refuse it, warnings do not."""

    message: IntakeMessage
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def read_messages(path: Path) -> list[IntakeMessage]:
    """
    The messages of a file. A line that is no JSON is a message too: ``check`` complains, ``send`` sends it.

    Raises:
        Failure: the file can't be read.
    """
    content = text(path, MOST)
    try:
        whole = parsed(content)
    except ValueError:
        lines = [(n, line) for n, line in enumerate(content.split("\n"), 1) if line and not line.isspace()]
        _bound(path, len(lines))
        return [IntakeMessage(path, n, line.strip()) for n, line in lines]
    if isinstance(whole, list):
        _bound(path, len(whole))
        return [IntakeMessage(path, 1, _written(item)) for item in whole]
    return [IntakeMessage(path, 1, content.strip())]


def _bound(path: Path, number: int) -> None:
    if number > MOST_MESSAGES:
        what = f"{path} holds {number} messages; {MOST_MESSAGES} are taken at once."
        raise Failure(what, "Part the file.", code=USAGE)


def _written(item: object) -> str:
    written = json.dumps(item, ensure_ascii=False)
    # Half of a surrogate pair can be escaped in JSON, and in no other way be sent.
    return json.dumps(item) if _HALF.search(written) else written


def judge(message: IntakeMessage, source: str) -> Verdict:
    """Judge one message as registration will, and warn of what it would ignore."""
    if (size := len(message.text.encode())) > LARGEST:
        return Verdict(message, (f"has {size} bytes; at most {LARGEST} are taken",), ())
    errors: list[str] = []
    warnings: list[str] = []
    try:
        found = parsed(message.text)
    except ValueError as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        return Verdict(message, (f"is not JSON: {reason}",), ())
    if not isinstance(found, Mapping):
        return Verdict(message, ("is not a JSON object",), ())
    errors += _complaints(_HEAD, found)
    type_ = found.get("type")
    model = INTAKE.get(type_) if isinstance(type_, str) else None
    if model is None and isinstance(type_, str):
        close = difflib.get_close_matches(type_, INTAKE, n=1)
        errors.append(
            f"type: '{type_}' is not known; "
            + (f"did you mean '{close[0]}'?" if close else f"known: {', '.join(INTAKE)}")
        )
    if model is not None and isinstance(found.get("data"), Mapping):
        errors += _complaints(TypeAdapter(model), found["data"], "data")
        warnings += [f"data.{remark}" for remark in _unknown(model, found["data"])]
    warnings += _unknown(Envelope[UnknownData], found, skip=("data",))
    if isinstance(found.get("source"), str) and found["source"] != source:
        warnings.append(f"source: '{found['source']}' is not '{source}', as whom it would be sent")
    return Verdict(message, tuple(dict.fromkeys(errors)), tuple(warnings))


def _complaints(adapter: TypeAdapter[Any], value: object, prefix: str = "") -> list[str]:
    try:
        adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        return [
            f"{'.'.join(str(part) for part in ((prefix,) if prefix else ()) + item['loc'])}: {complaint(item)}"
            for item in without_echoes(error.errors(include_url=False, include_input=False))
        ]
    return []


def _unknown(model: type[BaseModel], value: Mapping[str, Any], skip: Sequence[str] = ()) -> Iterator[str]:
    """Every key that the reader would ignore, with the key that was perhaps meant."""
    checked = {key: item for key, item in value.items() if key not in skip}
    try:
        model.model_validate_json(json.dumps(checked), extra="forbid")
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            if item["type"] != "extra_forbidden":
                continue
            location = item["loc"]
            close = meant(model, location)
            hint = f"; did you mean '{close}'?" if close else ""
            yield f"{'.'.join(str(part) for part in location)}: unknown field, would be ignored{hint}"


def outcome_key(content_: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """The request's id and the number in the partner's stream, as far as an outcome says them."""
    data = cast("Mapping[str, Any]", content_.get("data", {}))
    return data.get("request"), data.get("sequence")

"""YAML that people write, checked against the contract: every complaint names the line and the column."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from cli.failure import REFUSED, USAGE, Failure
from contracts.problem import Fault, Problem, complaint, problem_type, without_echoes

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a file."""

    place: Place
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.field + ': ' if self.field else ''}{self.message}"


class Mistakes(Failure):
    """A file that the contract does not allow."""

    def __init__(self, path: Path, what: str, mistakes: Sequence[Mistake]) -> None:
        self.path = path
        self.mistakes = tuple(mistakes)
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
        summary = f"{path} is not a valid {what}: {count}."
        super().__init__(
            "\n".join([summary, *(f"  {path}:{mistake}" for mistake in mistakes)]),
            f"Correct the {what} at the lines named, then try again; 'deelname {what} check' reads it without sending."
            if what == "programme"
            else "Correct the lines named, then try again.",
            code=REFUSED,
            problem=Problem(
                type=problem_type("invalid"),
                title=f"The {what} is not valid",
                status=422,
                detail=summary,
                errors=tuple(
                    Fault(field=mistake.field or None, detail=f"{path}:{mistake.place}: {mistake.message}")
                    for mistake in mistakes
                ),
            ),
        )


@dataclass(frozen=True, slots=True)
class Document(Generic[Model]):
    """A file that was read, and where its fields stand."""

    path: Path
    value: Model
    tree: Any

    def place(self, *location: int | str) -> Place:
        """Where a field stands, or the nearest thing around it."""
        return place_of(self.tree, location)


def read(path: Path, model: type[Model], what: str) -> Document[Model]:
    """
    Read a YAML 1.2 file as ``model``. A key that the contract does not have is a mistake, with the key meant.

    Raises:
        Failure: the file can't be read.
        Mistakes: it is not YAML, or not what the contract says.
    """
    tree = parse(path, what)
    try:
        value = model.model_validate(plain(tree), extra="forbid")
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True, include_input=True)
        mistakes = sorted(
            (_mistake(tree, model, item) for item in without_echoes(details)),
            key=lambda mistake: (mistake.place.line, mistake.place.column),
        )
        raise Mistakes(path, what, mistakes) from None
    return Document(path, value, tree)


def parse(path: Path, what: str) -> Any:
    """
    The file's tree, which knows its lines.

    Raises:
        Failure: the file can't be read.
        Mistakes: it is not YAML.
    """
    text = content(path)
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        message = " ".join(str(error.problem or error.context or "not YAML").split())
        raise Mistakes(path, what, [Mistake(place, "", f"not YAML: {message}")]) from None
    except YAMLError as error:
        raise Mistakes(path, what, [Mistake(Place(1, 1), "", " ".join(str(error).split()))]) from None
    if not isinstance(tree, CommentedMap):
        raise Mistakes(path, what, [Mistake(Place(1, 1), "", f"a {what} is a list of 'key: value' lines")])
    return tree


def content(path: Path) -> str:
    """
    The text of a file.

    Raises:
        Failure: there is none, or it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Failure(
            f"{path} cannot be read: {error.strerror}.", "Check the name and where you are ('pwd').", code=USAGE
        ) from None
    except UnicodeDecodeError as error:
        raise Failure(
            f"{path} is not UTF-8 text (byte {error.start}).", "Save it as UTF-8 in your editor.", code=USAGE
        ) from None


def plain(tree: Any) -> Any:
    """The tree without what remembers lines."""
    if isinstance(tree, Mapping):
        return {key: plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain(value) for value in tree]
    return tree


def place_of(tree: Any, location: Sequence[int | str]) -> Place:
    """Where the location stands in the tree, or the nearest thing around it that does stand there."""
    line, column = 0, 0
    here = tree
    for part in location:
        if isinstance(here, CommentedMap) and part in here:
            line, column = here.lc.key(part)
        elif isinstance(here, CommentedSeq) and isinstance(part, int) and part < len(here):
            line, column = here.lc.item(part)
        else:
            break
        here = here[part]
    return Place(line + 1, column + 1)


def _mistake(tree: Any, model: type[BaseModel], item: ErrorDetails) -> Mistake:
    location = item["loc"]
    field = ".".join(str(part) for part in location)
    place = place_of(tree, location)
    match item["type"]:
        case "extra_forbidden":
            known = fields_at(model, location[:-1])
            close = difflib.get_close_matches(str(location[-1]), known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}."
            return Mistake(place, field, f"unknown key; {hint}")
        case "missing":
            return Mistake(place, field, complaint(item))
        case _:
            return Mistake(place, field, complaint(item) + _shown(item.get("input")))


def _shown(value: object) -> str:
    if isinstance(value, str | int | float) and len(str(value)) <= 60:
        return f", not '{value}'"
    return ""


def fields_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys that are allowed at a location of the model."""
    here: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int) or here is None:
            continue
        field = here.model_fields.get(part)
        here = _model_in(field.annotation) if field else None
    return list(here.model_fields) if here else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for argument in typing.get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None

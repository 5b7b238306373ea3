"""What partners send, as far as it can be understood: from whom, under which id, what it asks, or what is wrong."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from contracts.base import Identity, Message
from contracts.envelope import Envelope
from contracts.intake import INTAKE, LARGEST, MessageName
from contracts.problem import Problem, invalid, problem
from contracts.subjects import parse_intake_subject
from services.chassis.intake import Delivery

_IDENTITY: TypeAdapter[str] = TypeAdapter(Identity)
_KINDS = ", ".join(name.rsplit(".", 1)[0] for name in INTAKE)


@dataclass(frozen=True, slots=True)
class PartnerMessage:
    """A message as far as it could be read; ``problem`` says why not further."""

    source: str
    id: str | None = None
    correlation: str | None = None
    digest: bytes | None = None
    """What the message says, as far as it is to be remembered under its id."""
    data: Message | None = None
    programme: str | None = None
    problem: Problem | None = None


def read(delivery: Delivery) -> PartnerMessage:
    """What a delivery says, or why that cannot be understood."""
    try:
        source, wanted = parse_intake_subject(delivery.subject)
    except ValueError:
        # Whoever may publish below their prefix may publish anything below it. The second word is the partner's.
        return PartnerMessage(
            delivery.subject.split(".")[1],
            problem=problem(
                "wrong-subject",
                "The subject is none of ours",
                422,
                f"Send to intake.<source>.<entity>.<verb>, where the last two are one of: {_KINDS}.",
                f"Stuur naar intake.<source>.<entity>.<verb>, met als laatste twee een van: {_KINDS}.",
            ),
        )
    if len(delivery.body) > LARGEST:
        return _too_large(delivery.body, source)
    try:
        document = json.loads(delivery.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return PartnerMessage(source, problem=_NOT_JSON)
    return _read_document(document, source, wanted)


def _too_large(body: bytes, source: str) -> PartnerMessage:
    """It is named as far as it names itself, and not remembered: sent in parts, the first may have its id."""
    told = problem(
        "too-large",
        "The message is too large",
        413,
        f"It has {len(body)} bytes, {LARGEST} are allowed. Send fewer participants in one message.",
        f"Het heeft {len(body)} bytes, {LARGEST} mag. Stuur minder deelnemers in één bericht.",
    )
    try:
        # The broker bounds it, and nothing is kept of the rest.
        named = MessageName.model_validate_json(body)
    except ValidationError:
        return PartnerMessage(source, problem=told)
    return PartnerMessage(source, id=named.id, correlation=_identity(named.correlationid), problem=told)


_NOT_JSON = problem(
    "not-json",
    "The message is not a JSON object",
    422,
    "Send a CloudEvents 1.0 event as a JSON object in UTF-8, nested no deeper than the schemas are.",
    "Stuur een CloudEvents 1.0-event als JSON-object in UTF-8, niet dieper genest dan de schema's.",
)


def _identity(value: object) -> str | None:
    try:
        return _IDENTITY.validate_python(value, strict=True)
    except ValidationError:
        return None


def _read_document(document: dict[str, object], source: str, wanted: str) -> PartnerMessage:
    type_ = document.get("type")
    correlation = _identity(document.get("correlationid"))
    try:
        id_ = _IDENTITY.validate_python(document.get("id"), strict=True)
    except ValidationError as error:
        return PartnerMessage(source, correlation=correlation, problem=_at("id", invalid(error, "message")))
    try:
        content = json.dumps([type_, document.get("data")], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except RecursionError:
        return PartnerMessage(source, correlation=correlation, problem=_NOT_JSON)
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()
    read = PartnerMessage(source, id=id_, correlation=correlation, digest=digest)
    model = INTAKE.get(type_) if isinstance(type_, str) else None
    if model is None:
        known = ", ".join(INTAKE)
        return replace(
            read,
            problem=problem(
                "unknown-type",
                "Unknown type",
                422,
                f"'type' must be one of: {known}.",
                f"'type' moet een van deze zijn: {known}.",
                field="type",
            ),
        )
    if type_ != f"{wanted}.v1" and not str(type_).startswith(f"{wanted}.v"):
        return replace(
            read,
            problem=problem(
                "wrong-subject",
                "The subject and the type differ",
                422,
                f"The subject says '{wanted}', and 'type' says something else.",
                f"Het subject zegt '{wanted}' en 'type' iets anders.",
                field="type",
            ),
        )
    try:
        envelope = Envelope[model].model_validate(document)  # type: ignore[valid-type]  # known only at run time
    except ValidationError as error:
        return replace(read, problem=invalid(error, "message"))
    if envelope.source != source:
        return replace(
            read,
            problem=problem(
                "wrong-source",
                "Wrong source",
                403,
                f"'source' must be '{source}', as in the subject.",
                f"'source' moet '{source}' zijn, zoals in het subject.",
                field="source",
            ),
        )
    return replace(read, data=envelope.data, programme=getattr(envelope.data, "programme", None))


def _at(field: str, told: Problem) -> Problem:
    faults = tuple(fault.model_copy(update={"field": field}) for fault in told.errors)
    return told.model_copy(update={"errors": faults})

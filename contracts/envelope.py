"""The envelope around facts, intake and outcomes: CloudEvents 1.0, structured JSON."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from contracts.base import Identity, Message

Data_co = TypeVar("Data_co", bound=Message, covariant=True)


class UnknownData(Message):
    """The data of a type that this reader does not know: kept as it came, acted upon by nobody."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Envelope(Message, Generic[Data_co]):
    """
    A CloudEvents 1.0 event in the JSON format (CloudEvents 1.0.2 §3.1, JSON event format §3).

    ``subject`` is the programme, ``_`` where there is none. ``position`` and ``version`` are extensions that only facts
    have: the number in the service's log, and the number within the programme; both count 1, 2, 3 … without gaps.
    ``correlationid`` is whatever a partner's request carries to tell what it belongs to: its outcome and the facts that
    it causes carry it too. It names no person, for facts stay.
    ``actor``, which facts alone have, says which account of the staff caused one: ``token:``, ``proxy:`` or ``broker:``
    and an id that names no person. Where it is absent, a partner did, the public, time that passed, or, for what became
    of a mail, the fact that called for it.
    """

    specversion: Literal["1.0"] = "1.0"
    id: Identity
    source: Identity
    type: Annotated[str, StringConstraints(max_length=100)]
    subject: str | None = None
    # RFC 3339 has a year 0 and leap seconds; Python's times have neither.
    time: Annotated[AwareDatetime, Field(json_schema_extra={"not": {"pattern": "^0000|:60"}})]
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str | None = None
    position: Annotated[int, Field(ge=1)] | None = None
    version: Annotated[int, Field(ge=1)] | None = None
    correlationid: Identity | None = None
    causationid: str | None = None
    traceparent: str | None = None
    actor: str | None = None
    data: Data_co


def schema_name(type_: str) -> str:
    """The absolute URI that ``dataschema`` gives for a type (CloudEvents 1.0.2 §3.1.2: it must be absolute)."""
    return f"urn:deelname:schema:{type_}"

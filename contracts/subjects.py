"""
Every subject that Deelname uses is built and read here; no other file holds one.

Five words start them all: ``log``, ``do``, ``ask``, ``intake``, ``outcome``. A subject, read aloud, says what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contracts.facts import NO_PROGRAMME

LOG = "log.>"
DO = "do.>"
ASK = "ask.>"
CONTACTS = "contacts"
"""The key-value bucket that says who a person id is."""
OUTCOMES_STREAM = "OUTCOMES"
INTAKE_READER = "registration"
"""The durable consumer with which registration reads each partner's intake."""


def log_stream(service: str) -> str:
    """The stream that holds a service's log."""
    return f"LOG_{service.upper()}"


def log_subjects(service: str) -> str:
    """All facts of a service."""
    return f"log.{service}.>"


def fact_subject(service: str, type_: str, programme: str | None) -> str:
    """Where a fact of this type is published: ``log.<service>.<programme>.<entity>.<fact>``, without the version."""
    entity, fact, _version = type_.split(".")
    return f"log.{service}.{programme or NO_PROGRAMME}.{entity}.{fact}"


def programme_facts(service: str, programme: str) -> str:
    """All facts of a service about one programme."""
    return f"log.{service}.{programme}.>"


@dataclass(frozen=True, slots=True)
class FactSubject:
    """What a fact's subject says."""

    service: str
    programme: str
    entity: str
    fact: str


def parse_fact_subject(subject: str) -> FactSubject:
    """
    Read a fact's subject.

    Raises:
        ValueError: it is not the subject of a fact.
    """
    words = subject.split(".")
    if len(words) != 5 or words[0] != "log":  # log, service, programme, entity, fact
        raise ValueError(f"{subject!r} is not log.<service>.<programme>.<entity>.<fact>")
    return FactSubject(*words[1:])


def command(service: str, entity: str, verb: str) -> str:
    """Where a service takes a command: ``do.<service>.<entity>.<verb>``."""
    return f"do.{service}.{entity}.{verb}"


def query(service: str, entity: str, verb: str) -> str:
    """Where a service answers a question: ``ask.<service>.<entity>.<verb>``."""
    return f"ask.{service}.{entity}.{verb}"


def is_query(subject: str) -> bool:
    """Whether it is a question's, which changes nothing however often it is asked."""
    return subject.startswith(ASK.removesuffix(">"))


def commands_of(service: str) -> str:
    """All commands to a service."""
    return f"do.{service}.>"


def queries_of(service: str) -> str:
    """All questions to a service."""
    return f"ask.{service}.>"


def intake(source: str, entity: str, verb: str) -> str:
    """Where a partner puts a request: ``intake.<source>.<entity>.<verb>``."""
    return f"intake.{source}.{entity}.{verb}"


def intake_of(source: str) -> str:
    """All requests of one partner."""
    return f"intake.{source}.>"


def intake_stream(source: str) -> str:
    """The stream that keeps one partner's requests until registration has answered them."""
    return f"INTAKE_{source.upper().replace('-', '_')}"


def source_of(stream: str) -> str | None:
    """The partner whose requests a stream keeps; None when it is no intake stream."""
    name = stream.removeprefix("INTAKE_")
    # A partner's name has no underscore and no capital: this is the way back.
    return name.lower().replace("_", "-") if name != stream else None


def parse_intake_subject(subject: str) -> tuple[str, str]:
    """
    The source and the kind of request (``enrolment.request``) that an intake subject says.

    Raises:
        ValueError: it is not the subject of an intake message.
    """
    words = subject.split(".")
    if len(words) != 4 or words[0] != "intake":  # intake, source, entity, verb
        raise ValueError(f"{subject!r} is not intake.<source>.<entity>.<verb>")
    return words[1], f"{words[2]}.{words[3]}"


def outcome(source: str, verdict: Literal["accepted", "refused"]) -> str:
    """Where registration answers a partner's request."""
    return f"outcome.{source}.{verdict}"


def outcomes_of(source: str) -> str:
    """All answers to one partner."""
    return f"outcome.{source}.>"


def outcomes() -> str:
    """All answers to all partners."""
    return "outcome.>"

"""What whoever follows a link that confirms sees, and does by pressing the button."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from contracts.base import same_address
from contracts.enrolment import Reason
from contracts.facts import EnrolmentRefused
from contracts.programme import Programme
from services.chassis import metrics
from services.chassis.links import Link, LinkKeys, NoLink
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain import Enrolment, ProgrammeState, Rejected, decide
from services.registration.domain.commands import ConfirmEnrolment
from services.registration.handlers.strangers import mailbox
from services.registration.store import Answer, strangers
from services.registration.writer import Writer

Stage = Literal["none", "ended", "asked", "not-stored", "confirmed", "waiting", "refused"]
"""
What a link leads to: nothing of ours, something that cannot be confirmed any more, the question, or what came of it;
``not-stored``: nothing came of it yet, and the question stands.
"""

_LINKS = metrics.counter("deelname_links_followed", "Personal links that were followed.", ["purpose", "outcome"])
_DONE = Answer(204, b"")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a link leads to at a moment, in words that depend on nothing that was typed."""

    stage: Stage
    definition: Programme | None = None
    confirm_by: datetime | None = None
    place: int | None = None
    reasons: tuple[Reason, ...] = ()


_NOTHING = Seen("none")


def opened(keys: LinkKeys, text: str) -> Link | None:
    """The link that a text stands for; None for what is none, or no such one."""
    try:
        link = keys.opened(text)
    except NoLink:
        _LINKS.labels("unknown", "refused").inc()
        return None
    return link if link.purpose == "confirm" else None


async def look(writer: Writer, link: Link, now: datetime) -> Seen:
    """What a link leads to; nothing happens by looking."""
    return await writer.read(lambda batch: _seen(batch, link, now))


async def press(writer: Writer, keys: LinkKeys, link: Link, now: datetime) -> Seen:
    """
    Confirm what the link asks: whoever presses twice sees the same twice.

    Everybody of the enrolment who is awaited at the link's address has confirmed by that: one mailbox gets one mail.
    """
    seen: list[Seen] = []

    def work(batch: Batch) -> Answer:
        seen.clear()
        before = _seen(batch, link, now)
        seen.append(_confirmed(batch, keys, link, now) if before.stage == "asked" else before)
        return _DONE

    stored = await writer.perform(work) == _DONE
    came = seen[0] if stored else replace(await look(writer, link, now), stage="not-stored")
    _LINKS.labels("confirm", came.stage).inc()
    return came


def _confirmed(batch: Batch, keys: LinkKeys, link: Link, now: datetime) -> Seen:
    state = batch.programme(link.programme)
    enrolment = state.enrolments[state.awaited[link.person]]
    registry = batch.registry.organisations
    persons = _at_the_same_address(batch, link.person, enrolment)
    decision = decide(
        state,
        ConfirmEnrolment(
            enrolment.id,
            persons,
            registry.get(enrolment.organisation) if enrolment.organisation else None,
            now,
        ),
    )
    if isinstance(decision, Rejected):
        return Seen("refused", state.definition, reasons=decision.reasons)
    state = batch.record(state, decision, now)
    for person in persons:
        store.confirm_person(batch.settled, person, now)
    # Who answers is no stranger: an office behind one address is not kept out by its own colleagues.
    strangers.release(batch.connection, enrolment.id)
    if (contact := store.contact(batch.settled, link.person)) is not None:
        strangers.answered(batch.connection, mailbox(keys, contact.contact.email))
    made = state.enrolments[enrolment.id]
    refusal = next((fact for fact in decision if isinstance(fact, EnrolmentRefused)), None)
    if refusal is not None and not refusal.present:
        return Seen("refused", state.definition, reasons=refusal.reasons)
    return _standing(state, made if refusal is None else state.enrolments[state.persons[link.person]])


def _at_the_same_address(batch: Batch, person: str, enrolment: Enrolment) -> frozenset[str]:
    contacts = store.contacts(batch.settled, (one.person for one in enrolment.awaited))
    address = same_address(contacts[person].email)
    return frozenset(one for one, who in contacts.items() if same_address(who.email) == address)


def _seen(batch: Batch, link: Link, now: datetime) -> Seen:
    state = batch.programme(link.programme)
    if state.definition is None or store.contact(batch.settled, link.person) is None:
        # Nobody knows any more who that was.
        return _NOTHING
    awaited = state.enrolments.get(state.awaited.get(link.person) or "")
    inside = state.enrolments.get(state.persons.get(link.person) or "")
    if inside is not None:
        return _standing(state, inside)
    over = state.withdrawn or state.is_over(now)
    if awaited is None or over or awaited.confirm_by is None or awaited.confirm_by <= now or link.expires <= now:
        return Seen("ended", state.definition)
    return Seen("asked", state.definition, awaited.confirm_by)


def _standing(state: ProgrammeState, enrolment: Enrolment) -> Seen:
    if enrolment.status == "waiting":
        return Seen("waiting", state.definition, place=state.place(enrolment.id))
    return Seen("confirmed", state.definition)

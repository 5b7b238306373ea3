"""The rules for what strangers ask for: who has yet to confirm, who takes part already, and whose address is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import Any

from contracts import facts
from contracts.enrolment import Channel, Enrolled, EnrolmentStatus
from contracts.facts import NO_PROGRAMME
from contracts.moments import day_of
from services.notifications.domain import entities
from services.notifications.domain.entities import Awaited, Enrolment, Known, Notice
from services.notifications.domain.planning.work import Work

_TAKES_PART = "already-enrolled"
"""The rule of a refusal that says that somebody takes part already."""


def enrolled(work: Work, data: Enrolled, status: EnrolmentStatus, **more: Any) -> Enrolment:
    """The enrolment of a fact; who has yet to confirm it is still awaited."""
    before = work.enrolment(data.enrolment)
    came = {each.person for each in data.participants}
    return Enrolment(
        id=data.enrolment,
        status=status,
        participants=data.participants,
        organisation=data.organisation,
        missing=data.missing,
        complete_by=data.complete_by,
        awaited=_without(before.awaited, came) if before else (),
        unconfirmed=data.unconfirmed,
        public=data.channel == "web",
        **more,
    )


def _without(awaited: Iterable[Awaited], people: Collection[str]) -> tuple[Awaited, ...]:
    return tuple(each for each in awaited if each.participant.person not in people)


def pending(work: Work, data: facts.EnrolmentPending) -> None:
    """Ask whom it asks; of a team that stands, others take part already."""
    named = {each.person for each in data.participants}
    before = work.enrolment(data.enrolment)
    if before is None or before.status not in ("confirmed", "waiting"):
        before = Enrolment(
            id=data.enrolment,
            status="pending",
            participants=(),
            organisation=data.organisation,
            missing=data.missing,
            complete_by=data.complete_by,
            awaited=before.awaited if before else (),
        )
    awaited = (Awaited(each, work.time, data.confirm_by) for each in data.participants)
    work.put_enrolment(dataclasses.replace(before, awaited=(*_without(before.awaited, named), *awaited)))
    if not work.silent:
        for person in data.asked:
            work.mail("confirmation-request", person, enrolment=data.enrolment, by_stranger=True)
    told_to_be_present(work, data.present, data.channel)


def lapsed(work: Work, data: facts.EnrolmentLapsed) -> None:
    """Whoever did not confirm is forgotten; nobody is told, for nobody may have asked."""
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None:
        return
    status = "lapsed" if enrolment.status == "pending" else enrolment.status
    work.put_enrolment(dataclasses.replace(enrolment, status=status, awaited=()))


def confirmed(work: Work, data: facts.ParticipantConfirmed) -> None:
    """The address is known from now on; the place comes, or does not, by a fact of its own."""
    work.state = work.state.put(NO_PROGRAMME, entities.known_key(data.person), Known(data.person))
    if (enrolment := work.enrolment(data.enrolment)) is not None:
        work.put_enrolment(dataclasses.replace(enrolment, awaited=_without(enrolment.awaited, {data.person})))


def erased(work: Work, data: facts.PersonErased) -> None:
    """Nothing is known of a person who was erased."""
    work.state = work.state.remove(NO_PROGRAMME, entities.known_key(data.person))


def refused(work: Work, data: facts.EnrolmentRefused) -> None:
    """
    Tell why, or that somebody has what was asked for.

    Of what was asked for by anybody the page told why, and who did not ask is told no more than once a day.
    """
    before = work.enrolment(data.enrolment)
    enrolment = dataclasses.replace(enrolled(work, data, "refused", reasons=data.reasons), awaited=())
    work.put_enrolment(enrolment)
    # Who has confirmed what is refused now did ask.
    public = data.channel == "web" and (before is None or before.status != "pending")
    taking_part = set(data.present)
    if public or any(reason.rule == _TAKES_PART for reason in data.reasons):
        # Whoever has a place must not read that it came to nothing because somebody else typed the address.
        taking_part |= {each.person for each in enrolment.participants if _present(work, each.person)}
    for participant in enrolment.participants:
        person = participant.person
        if person in taking_part or (public and work.is_unconfirmed(person, enrolment.id)):
            continue
        if not public or _first_today(work, person):
            work.mail("refusal", person, enrolment=enrolment.id, by_stranger=public)
    named = dict.fromkeys((*(each.person for each in enrolment.participants), *data.present))
    told_to_be_present(work, (each for each in named if each in taking_part), data.channel)


def _present(work: Work, person: str) -> Enrolment | None:
    return entities.present_enrolment(work.state, work.programme, person)


def told_to_be_present(work: Work, people: Iterable[str], channel: Channel) -> None:
    """Tell those whom a request named although they take part that they do: themselves, and nobody else."""
    if work.silent:
        return
    for person in people:
        present = _present(work, person)
        if present is not None and _first_today(work, person):
            work.mail("already-enrolled", person, enrolment=present.id, by_stranger=channel == "web")


def _first_today(work: Work, person: str) -> bool:
    """Whether it is the first time on this day that a request that changes nothing is told to the person."""
    key = entities.notice_key(person)
    notice = Notice(person, day_of(work.time))
    if work.state.get(work.programme, key) == notice:
        return False
    work.put(key, notice)
    return True

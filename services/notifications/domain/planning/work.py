"""One fact being worked through: what the rules can ask, change and tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from contracts.enrolment import Participant, Reason
from contracts.facts import NO_PROGRAMME, Fact, SessionMoved
from contracts.session import Occasion, Session, in_order_of_time
from services.chassis.state import State
from services.notifications.domain import entities
from services.notifications.domain.entities import Agenda, Course, Enrolment, Invitation
from services.notifications.domain.mails import NO_DETAIL, Appointment, Detail, Planned, Taken, item_uid, mail_id
from services.notifications.letters import Purpose

_SOON = timedelta(hours=1)


class Work:
    """One fact being worked through: the state so far, and the mails so far."""

    def __init__(self, state: State, fact: Fact, programme: str | None = None) -> None:
        """``programme`` is one of several that a fact is about which belongs to none."""
        self.state = state
        self.fact = fact
        self.programme = programme or fact.subject or NO_PROGRAMME
        self._cause = fact.id if programme is None else f"{fact.id}|{programme}"
        self.course = entities.course_of(state, self.programme)
        self.time = fact.time
        self.mails: list[Planned] = []
        self.ids: set[str] = set()
        self._agendas: dict[str, Agenda] = {}

    # What is known ----------------------------------------------------------------------------------------------------

    def enrolment(self, id_: str) -> Enrolment | None:
        """An enrolment of this programme, if it is known."""
        return entities.enrolment_of(self.state, self.programme, id_)

    def agenda(self, person: str) -> Agenda:
        """The person's agenda in this programme, empty for who has none."""
        agenda = self._agendas.get(person)
        if agenda is None:
            agenda = self._agendas[person] = entities.agenda_of(self.state, self.programme, person)
        return agenda

    def people(self) -> list[str]:
        """Everybody who has or had an agenda in this programme, in a fixed order."""
        partition = self.state.partition(self.programme).values()
        return sorted(each.person for each in partition if isinstance(each, Agenda))

    def enrolments(self) -> list[Enrolment]:
        """All enrolments of this programme, in a fixed order."""
        partition = self.state.partition(self.programme).values()
        return sorted((each for each in partition if isinstance(each, Enrolment)), key=lambda each: each.id)

    @property
    def silent(self) -> bool:
        """Whether nobody wants to hear of this programme any more: it was withdrawn, or all its sessions are over."""
        course = self.course
        return course is None or course.withdrawn or entities.all_over(course, self.time)

    def is_unconfirmed(self, person: str, enrolment: str | None) -> bool:
        """Whether a stranger named the person in this enrolment, and nothing was ever confirmed from the address."""
        found = self.enrolment(enrolment) if enrolment else None
        return found is not None and entities.is_unconfirmed(self.state, found, person)

    # What changes -----------------------------------------------------------------------------------------------------

    def put(self, key: str, entity: object) -> None:
        """Store something in the programme's partition."""
        self.state = self.state.put(self.programme, key, entity)

    def put_course(self, course: Course) -> None:
        """Store the programme."""
        self.course = course
        self.put(entities.COURSE, course)

    def put_enrolment(self, enrolment: Enrolment) -> None:
        """Store an enrolment."""
        self.put(entities.enrolment_key(enrolment.id), enrolment)

    def put_agenda(self, agenda: Agenda) -> None:
        """Store a person's agenda."""
        self._agendas[agenda.person] = agenda
        self.put(entities.agenda_key(agenda.person), agenda)

    def define(self, **changes: Any) -> None:
        """Change the programme's definition."""
        if (course := self.course) is not None:
            definition = course.definition.model_copy(update=changes)
            self.put_course(dataclasses.replace(course, definition=definition))

    def join(self, person: str, enrolment: str) -> None:
        """Note that a person is in an enrolment."""
        agenda = self.agenda(person)
        if enrolment not in agenda.enrolments:
            self.put_agenda(dataclasses.replace(agenda, enrolments=(*agenda.enrolments, enrolment)))

    def leave(self, person: str, enrolment: str) -> None:
        """Note that a person is in an enrolment no more."""
        agenda = self.agenda(person)
        if enrolment in agenda.enrolments:
            rest = tuple(each for each in agenda.enrolments if each != enrolment)
            self.put_agenda(dataclasses.replace(agenda, enrolments=rest))

    # What is told -----------------------------------------------------------------------------------------------------

    def mail(
        self,
        purpose: Purpose,
        person: str,
        *,
        enrolment: str | None = None,
        session: str | None = None,
        detail: Detail | None = None,
        held: bool = False,
        by_stranger: bool = False,
    ) -> None:
        """Plan a mail; the same one twice counts once. Whoever is unconfirmed was named by a stranger in any case."""
        id_ = mail_id(self._cause, purpose, person, session)
        if id_ in self.ids:
            return
        self.ids.add(id_)
        self.mails.append(
            Planned(
                id=id_,
                purpose=purpose,
                person=person,
                programme=self.programme,
                due_at=self.time,
                enrolment=enrolment,
                session=session,
                detail=detail or NO_DETAIL,
                held=held,
                by_stranger=by_stranger or self.is_unconfirmed(person, enrolment),
            )
        )

    def welcome(self, enrolment: Enrolment, participants: Iterable[Participant], purpose: Purpose) -> None:
        """Tell people that they are in, and put the sessions into their agendas."""
        silent = self.silent
        for participant in participants:
            self.join(participant.person, enrolment.id)
            if not silent:
                self.mail(purpose, participant.person, enrolment=enrolment.id)
            self.reconcile(participant.person)

    def part(
        self, enrolment: Enrolment, people: Iterable[str], reason: Reason | None = None, *, replaced: bool = False
    ) -> None:
        """Tell people that they are out and why, and take the sessions out of their agendas."""
        silent = self.silent
        for person in people:
            self.leave(person, enrolment.id)
            if not silent:
                detail = Detail(
                    taken=self.taken(person), reason=reason, replaced=replaced, waited=enrolment.status == "waiting"
                )
                self.mail("withdrawn", person, enrolment=enrolment.id, detail=detail)
            self.reconcile(person)

    def taken(self, person: str) -> tuple[Taken, ...]:
        """What is still to come in a person's agenda and should not stand there any more."""
        wanted = self.wanted(person)
        invitations = {
            each.session: each
            for each in self.agenda(person).invitations
            if each.standing
            and each.session not in wanted
            and not (each.latest or each.occasion).is_over(self.time)
            and not self.stays(person, each)
        }
        return tuple(Taken(id_, invitations[id_].occasion, invitations[id_].uid) for id_ in self.ordered(invitations))

    def lacking(self, enrolment: Enrolment) -> None:
        """Tell everybody in a team that seats are empty, but for who came at this moment: the welcome says so."""
        # Without a deadline there is nothing to ask of them by any day.
        if not enrolment.missing or enrolment.complete_by is None or self.silent:
            return
        for participant in enrolment.participants:
            if enrolment.newest != (participant.person, self.time):
                self.mail("team-incomplete", participant.person, enrolment=enrolment.id)

    # Calendars --------------------------------------------------------------------------------------------------------

    def wanted(self, person: str) -> dict[str, tuple[Session, str]]:
        """The sessions that should stand in a person's agenda, each with the enrolment that it comes from."""
        return {
            id_: (session, enrolment)
            for id_, (session, enrolment) in self.attending(person).items()
            if session.start is not None and not session.is_over(self.time)
        }

    def attending(self, person: str) -> dict[str, tuple[Session, str]]:
        """The sessions that a person attends, also without a date or over, each with the enrolment it comes from."""
        course = self.course
        if course is None or course.withdrawn:
            return {}
        attending: dict[str, tuple[Session, str]] = {}
        for id_ in self.agenda(person).enrolments:
            enrolment = self.enrolment(id_)
            participant = enrolment.participant(person) if enrolment and enrolment.status == "confirmed" else None
            if participant is None:
                continue
            for session in entities.attended(course, participant):
                attending.setdefault(session.id, (session, id_))
        return attending

    def ordered(self, sessions: Iterable[str]) -> list[str]:
        """Session ids in the order of time, those that the programme no longer has at the end."""
        sessions = list(sessions)
        if len(sessions) < 2:
            return sessions
        course = self.course
        order = (
            {each.id: number for number, each in enumerate(in_order_of_time(course.definition.sessions))}
            if course
            else {}
        )
        return sorted(sessions, key=lambda id_: (order.get(id_, len(order)), id_))

    def reconcile(self, person: str) -> None:
        """Compare what should stand in a person's agenda with what does, and tell the difference."""
        agenda = self.agenda(person)
        wanted = self.wanted(person)
        known = {each.session: each for each in agenda.invitations}
        after = dict(known)
        off = dict.fromkeys(agenda.off)
        for id_ in self.ordered(known.keys() | wanted.keys()):
            invitation, target = known.get(id_), wanted.get(id_)
            if target is not None:
                after[id_] = self.invite(person, invitation, *target, again=id_ in off)
                off.pop(id_, None)
            elif invitation is not None and invitation.standing and not self.stays(person, invitation):
                after[id_], is_off = self.cancel(person, invitation)
                if is_off:
                    off[id_] = None
        for id_ in [each for each in off if self.called_on(person, each, known.get(each))]:
            del off[id_]
        if after != known or len(off) != len(agenda.off):
            self.put_agenda(dataclasses.replace(agenda, invitations=tuple(after.values()), off=tuple(off)))

    def called_off(self, person: str, session: str) -> None:
        """Note that a person was told in words that a session does not take place."""
        agenda = self.agenda(person)
        if session not in agenda.off:
            self.put_agenda(dataclasses.replace(agenda, off=(*agenda.off, session)))

    def called_on(self, person: str, session: str, item: Invitation | None) -> bool:
        """Whether a session that was off takes place after all, without a date as yet: that is told in words."""
        found, enrolment = self.attending(person).get(session, (None, ""))
        if found is None or found.start is not None:
            return False
        detail = Detail(again=True, former=item.uid if item else None)
        self.mail("invite", person, enrolment=enrolment, session=session, detail=detail)
        return True

    def invite(
        self, person: str, invitation: Invitation | None, session: Session, enrolment: str, *, again: bool
    ) -> Invitation:
        """The item as it stands after this fact, told if that is new; ``again`` to who heard that it is off."""
        occasion = session.occasion
        if invitation is None or not invitation.standing:
            number = invitation.number + 1 if invitation else 1
            stamp = _stamp(self.time)
            told = Invitation(
                session=session.id,
                uid=item_uid(self.programme, session.id, person, number),
                number=number,
                sequence=0,
                occasion=occasion,
                stamp=stamp,
                created=stamp,
                enrolment=enrolment,
                announced=isinstance(self.fact.data, SessionMoved) and self.fact.data.before.start is None,
            )
            self.mail(
                "invite",
                person,
                enrolment=enrolment,
                session=session.id,
                detail=Detail(
                    appointment=_appointment(told),
                    again=again,
                    former=invitation.uid if again and invitation else None,
                ),
            )
            return told
        if entities.same_for_an_agenda(invitation.occasion, occasion):
            return invitation
        told = self.next(
            invitation,
            occasion=occasion,
            enrolment=enrolment,
            latest=_later(invitation.latest or invitation.occasion, occasion),
        )
        self.mail(
            "session-moved",
            person,
            enrolment=enrolment,
            session=session.id,
            detail=Detail(appointment=dataclasses.replace(_appointment(told), before=invitation.occasion)),
            held=not any(self.soon(each) for each in (invitation.occasion, occasion)),
        )
        return told

    def readdress(self, person: str) -> None:
        """Take what is to come out of the agenda at an earlier address, and put it into the one at the address now."""
        agenda = self.agenda(person)
        known = {each.session: each for each in agenda.invitations}
        wanted = self.wanted(person)
        for id_ in self.ordered(known):
            invitation, target = known[id_], wanted.get(id_)
            if not invitation.standing or target is None:
                continue
            gone = self.next(invitation, standing=False)
            detail = Detail(appointment=_appointment(gone))
            self.mail("readdressed", person, enrolment=invitation.enrolment, session=id_, detail=detail)
            # An item of its own: one mailbox may have both addresses, and must not lose the new one with the old.
            known[id_] = self.invite(person, gone, *target, again=False)
        self.put_agenda(dataclasses.replace(agenda, invitations=tuple(known.values())))

    def stays(self, person: str, invitation: Invitation) -> bool:
        """Whether its session is over and nothing else: a change that was not told by then still is to be told."""
        session, _ = self.attending(person).get(invitation.session, (None, ""))
        return (
            session is not None
            and session.is_over(self.time)
            and entities.same_for_an_agenda(session.occasion, invitation.occasion)
        )

    def soon(self, occasion: Occasion) -> bool:
        """Whether it begins so soon that nobody should learn of it later than need be."""
        return occasion.begins is not None and occasion.begins - self.time < _SOON

    def cancel(self, person: str, invitation: Invitation) -> tuple[Invitation, bool]:
        """The item taken out of the agenda, and whether that says that it is off; nobody is told of what is over."""
        if (invitation.latest or invitation.occasion).is_over(self.time):
            return dataclasses.replace(invitation, standing=False), False
        course = self.course
        session = course.definition.session(invitation.session) if course and not course.withdrawn else None
        postponed = session is not None and session.start is None
        # Who is to attend it all the same sees it taken out because it was put into the past.
        off = session is None or postponed or session.id in self.attending(person)
        told = self.next(invitation, standing=False)
        appointment = dataclasses.replace(_appointment(told), postponed=postponed)
        self.mail(
            "session-cancelled" if off else "withdrawn-invite",
            person,
            enrolment=invitation.enrolment,
            session=invitation.session,
            detail=Detail(appointment=appointment),
        )
        return told, off and not postponed

    def next(self, invitation: Invitation, **changes: Any) -> Invitation:
        """The same item one SEQUENCE later (RFC 5546 §3.2.2.1), with a stamp that is later too."""
        stamp = max(_stamp(self.time), invitation.stamp + timedelta(seconds=1))
        return dataclasses.replace(invitation, sequence=invitation.sequence + 1, stamp=stamp, **changes)


def _stamp(time: datetime) -> datetime:
    """A DTSTAMP has whole seconds."""
    return time.replace(microsecond=0)


def _later(one: Occasion, other: Occasion) -> Occasion:
    return other if one.finishes is None or (other.finishes is not None and other.finishes > one.finishes) else one


def _appointment(invitation: Invitation) -> Appointment:
    return Appointment(
        uid=invitation.uid,
        sequence=invitation.sequence,
        stamp=invitation.stamp,
        created=invitation.created,
        occasion=invitation.occasion,
        announced=invitation.announced,
    )

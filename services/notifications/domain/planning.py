"""
One fact's consequences: the state after it and the mails that it calls for.

Calendars are kept by reconciliation. After a fact, the items that should stand (the sessions that a confirmed person's
seat attends, with a date, not over) are compared with those that do stand, and the difference is told. So it does not
matter by which of many ways somebody came to attend a session or not to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from contracts import facts
from contracts.base import Message
from contracts.enrolment import Enrolled, Participant
from contracts.facts import NO_PROGRAMME, Fact
from contracts.programme import Occasion, Session
from services.chassis.state import State
from services.notifications.domain import entities
from services.notifications.domain.entities import Agenda, Course, Enrolment, Institution, Invitation
from services.notifications.domain.mails import Appointment, Detail, Planned, Taken, item_uid, mail_id
from services.notifications.letters import Purpose


class Step(NamedTuple):
    """The state after a fact, and the mails that it calls for, in the order in which they should go out."""

    state: State
    mails: tuple[Planned, ...]


def step(state: State, fact: Fact) -> Step:
    """What ``evolve`` and ``plan`` say, in one go. A fact of an unknown type changes nothing."""
    rule = _RULES.get(type(fact.data))
    if rule is None:
        return Step(state, ())
    work = _Work(state, fact)
    rule(work, fact.data)
    return Step(work.state, tuple(work.mails))


def evolve(state: State, fact: Fact) -> State:
    """The state after a fact."""
    return step(state, fact).state


def plan(state: State, fact: Fact) -> tuple[Planned, ...]:
    """The mails that a fact calls for; ``state`` is the one before it."""
    return step(state, fact).mails


class _Work:
    """One fact being worked through: the state so far, and the mails so far."""

    def __init__(self, state: State, fact: Fact) -> None:
        self.state = state
        self.fact = fact
        self.programme = fact.subject or NO_PROGRAMME
        self.time = fact.time
        self.mails: list[Planned] = []
        self.ids: set[str] = set()

    # What is known ----------------------------------------------------------------------------------------------------

    @property
    def course(self) -> Course | None:
        return entities.course_of(self.state, self.programme)

    def enrolment(self, id_: str) -> Enrolment | None:
        return entities.enrolment_of(self.state, self.programme, id_)

    def agenda(self, person: str) -> Agenda:
        return entities.agenda_of(self.state, self.programme, person)

    def people(self) -> list[str]:
        """Everybody who has or had an agenda in this programme, in a fixed order."""
        partition = self.state.partition(self.programme).values()
        return sorted(each.person for each in partition if isinstance(each, Agenda))

    def enrolments(self) -> list[Enrolment]:
        partition = self.state.partition(self.programme).values()
        return sorted((each for each in partition if isinstance(each, Enrolment)), key=lambda each: each.id)

    @property
    def silent(self) -> bool:
        """Whether nobody wants to hear of this programme any more: it was withdrawn, or all its sessions are over."""
        course = self.course
        return course is None or course.withdrawn or entities.all_over(course, self.time)

    # What changes -----------------------------------------------------------------------------------------------------

    def put(self, key: str, entity: object) -> None:
        self.state = self.state.put(self.programme, key, entity)

    def put_course(self, course: Course) -> None:
        self.put(entities.COURSE, course)

    def put_enrolment(self, enrolment: Enrolment) -> None:
        self.put(entities.enrolment_key(enrolment.id), enrolment)

    def put_agenda(self, agenda: Agenda) -> None:
        self.put(entities.agenda_key(agenda.person), agenda)

    def define(self, **changes: Any) -> None:
        """Change the programme's definition."""
        if (course := self.course) is not None:
            definition = course.definition.model_copy(update=changes)
            self.put_course(dataclasses.replace(course, definition=definition))

    def join(self, person: str, enrolment: str) -> None:
        agenda = self.agenda(person)
        if enrolment not in agenda.enrolments:
            self.put_agenda(dataclasses.replace(agenda, enrolments=(*agenda.enrolments, enrolment)))

    def leave(self, person: str, enrolment: str) -> None:
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
    ) -> None:
        id_ = mail_id(self.fact.id, purpose, person, session)
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
                detail=detail or Detail(),
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

    def part(self, enrolment: Enrolment, people: Iterable[str]) -> None:
        """Tell people that they are out, and take the sessions out of their agendas."""
        silent = self.silent
        for person in people:
            self.leave(person, enrolment.id)
            if not silent:
                self.mail("withdrawn", person, enrolment=enrolment.id, detail=Detail(taken=self.taken(person)))
            self.reconcile(person)

    def taken(self, person: str) -> tuple[Taken, ...]:
        """What is still to come in a person's agenda and should not stand there any more."""
        wanted = self.wanted(person)
        invitations = {
            each.session: each
            for each in self.agenda(person).invitations
            if each.standing and each.session not in wanted and not entities.is_over(each.occasion, self.time)
        }
        return tuple(Taken(id_, invitations[id_].occasion) for id_ in self.ordered(invitations))

    def lacking(self, enrolment: Enrolment) -> None:
        """Tell everybody in a team that seats are empty."""
        # Without a deadline there is nothing to ask of them by any day.
        if not enrolment.missing or enrolment.complete_by is None or self.silent:
            return
        for participant in enrolment.participants:
            self.mail("team-incomplete", participant.person, enrolment=enrolment.id)

    # Calendars --------------------------------------------------------------------------------------------------------

    def wanted(self, person: str) -> dict[str, tuple[Session, str]]:
        """The sessions that should stand in a person's agenda, each with the enrolment that it comes from."""
        course = self.course
        if course is None or course.withdrawn:
            return {}
        wanted: dict[str, tuple[Session, str]] = {}
        for id_ in self.agenda(person).enrolments:
            enrolment = self.enrolment(id_)
            participant = enrolment.participant(person) if enrolment and enrolment.status == "confirmed" else None
            if participant is None:
                continue
            for session in entities.attended(course, participant):
                if session.start is not None and not entities.is_over(session, self.time):
                    wanted.setdefault(session.id, (session, id_))
        return wanted

    def ordered(self, sessions: Iterable[str]) -> list[str]:
        """Session ids in the programme's order, those that it no longer has at the end."""
        course = self.course
        order = {each.id: number for number, each in enumerate(course.definition.sessions)} if course else {}
        return sorted(sessions, key=lambda id_: (order.get(id_, len(order)), id_))

    def reconcile(self, person: str) -> None:
        """Compare what should stand in a person's agenda with what does, and tell the difference."""
        agenda = self.agenda(person)
        wanted = self.wanted(person)
        known = {each.session: each for each in agenda.invitations}
        after = dict(known)
        for id_ in self.ordered(known.keys() | wanted.keys()):
            invitation, target = known.get(id_), wanted.get(id_)
            if target is not None:
                after[id_] = self.invite(person, invitation, *target)
            elif invitation is not None and invitation.standing:
                after[id_] = self.cancel(person, invitation)
        if after != known:
            self.put_agenda(dataclasses.replace(agenda, invitations=tuple(after.values())))

    def invite(self, person: str, invitation: Invitation | None, session: Session, enrolment: str) -> Invitation:
        """The item as it stands after this fact, told if that is new."""
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
            )
            self.mail(
                "invite",
                person,
                enrolment=enrolment,
                session=session.id,
                detail=Detail(appointment=_appointment(told)),
            )
            return told
        if _same(invitation.occasion, occasion):
            return invitation
        told = self.next(invitation, occasion=occasion, enrolment=enrolment)
        self.mail(
            "session-moved",
            person,
            enrolment=enrolment,
            session=session.id,
            detail=Detail(appointment=dataclasses.replace(_appointment(told), before=invitation.occasion)),
        )
        return told

    def cancel(self, person: str, invitation: Invitation) -> Invitation:
        """The item taken out of the agenda; nobody is told of what is over."""
        if entities.is_over(invitation.occasion, self.time):
            return dataclasses.replace(invitation, standing=False)
        course = self.course
        session = course.definition.session(invitation.session) if course and not course.withdrawn else None
        postponed = session is not None and session.start is None
        off = session is None or postponed or entities.is_over(session, self.time)
        told = self.next(invitation, standing=False)
        appointment = dataclasses.replace(_appointment(told), postponed=postponed)
        self.mail(
            "session-cancelled" if off else "withdrawn-invite",
            person,
            enrolment=invitation.enrolment,
            session=invitation.session,
            detail=Detail(appointment=appointment),
        )
        return told

    def next(self, invitation: Invitation, **changes: Any) -> Invitation:
        """The same item one SEQUENCE later (RFC 5546 §3.2.2.1), with a stamp that is later too."""
        stamp = max(_stamp(self.time), invitation.stamp + timedelta(seconds=1))
        return dataclasses.replace(invitation, sequence=invitation.sequence + 1, stamp=stamp, **changes)


def _stamp(time: datetime) -> datetime:
    """A DTSTAMP has whole seconds."""
    return time.replace(microsecond=0)


def _same(one: Occasion, other: Occasion) -> bool:
    """Whether an agenda would show the same; the words for a date that is not known yet don't matter to it."""
    return (one.start, one.end, one.online, one.venue) == (other.start, other.end, other.online, other.venue)


def _appointment(invitation: Invitation) -> Appointment:
    return Appointment(
        uid=invitation.uid,
        sequence=invitation.sequence,
        stamp=invitation.stamp,
        created=invitation.created,
        occasion=invitation.occasion,
    )


# The rules: one function for each fact that matters to anybody's mail ------------------------------------------------


def _published(work: _Work, data: facts.ProgrammePublished) -> None:
    course = work.course
    work.put_course(Course(data.programme, former=course.former if course else ()))
    _reconcile_all(work)


def _reconcile_all(work: _Work) -> None:
    for person in work.people():
        work.reconcile(person)


def _described(work: _Work, data: facts.ProgrammeDescribed) -> None:
    work.define(title=data.title, description=data.description, kind=data.kind, page=data.page)


def _organised(work: _Work, data: facts.ProgrammeOrganised) -> None:
    work.define(
        organisers=data.organisers, content_contact=data.content_contact, enrolment_contact=data.enrolment_contact
    )


def _classified(work: _Work, data: facts.ProgrammeClassified) -> None:
    work.define(themes=data.themes)


def _rules_changed(work: _Work, data: facts.ProgrammeRulesChanged) -> None:
    work.define(enrolment=data.rules)


def _capacity_changed(work: _Work, data: facts.ProgrammeCapacityRaised | facts.ProgrammeCapacityLowered) -> None:
    if (course := work.course) is not None:
        work.define(enrolment=course.definition.enrolment.model_copy(update={"capacity": data.after}))


def _team_rule_changed(work: _Work, data: facts.ProgrammeTeamRuleChanged) -> None:
    work.define(team=data.team)
    _reconcile_all(work)


def _programme_withdrawn(work: _Work, data: facts.ProgrammeWithdrawn) -> None:
    course = work.course
    if course is None or course.withdrawn:
        return
    silent = work.silent
    work.put_course(dataclasses.replace(course, withdrawn=True, reason=data.reason))
    for enrolment in work.enrolments():
        if enrolment.status not in ("confirmed", "waiting"):
            continue
        for participant in enrolment.participants:
            if not silent:
                taken = work.taken(participant.person)
                work.mail("programme-cancelled", participant.person, enrolment=enrolment.id, detail=Detail(taken=taken))
            work.reconcile(participant.person)


def _session_added(work: _Work, data: facts.SessionAdded) -> None:
    if (course := work.course) is None:
        return
    former = tuple(each for each in course.former if each.id != data.session.id)
    others = tuple(each for each in course.definition.sessions if each.id != data.session.id)
    definition = course.definition.model_copy(update={"sessions": (*others, data.session)})
    work.put_course(dataclasses.replace(course, definition=definition, former=former))
    _reconcile_all(work)


def _session_moved(work: _Work, data: facts.SessionMoved) -> None:
    _change_session(work, data.session, {name: getattr(data.after, name) for name in Occasion.model_fields})
    _reconcile_all(work)


def _session_described(work: _Work, data: facts.SessionDescribed) -> None:
    _change_session(work, data.session, {"title": data.title, "description": data.description, "lunch": data.lunch})


def _change_session(work: _Work, id_: str, changes: dict[str, object]) -> None:
    if (course := work.course) is not None:
        work.define(
            sessions=tuple(
                each.model_copy(update=changes) if each.id == id_ else each for each in course.definition.sessions
            )
        )


def _session_cancelled(work: _Work, data: facts.SessionCancelled) -> None:
    course = work.course
    gone = course.definition.session(data.session) if course else None
    if course is None or gone is None:
        return
    definition = course.definition.without(gone.id)
    work.put_course(dataclasses.replace(course, definition=definition, former=(*course.former, gone)))
    _reconcile_all(work)


def _enrolled(data: Enrolled, status: Any, **more: Any) -> Enrolment:
    return Enrolment(
        id=data.enrolment,
        status=status,
        participants=data.participants,
        organisation=data.organisation,
        missing=data.missing,
        complete_by=data.complete_by,
        **more,
    )


def _confirmed(work: _Work, data: facts.EnrolmentConfirmed) -> None:
    enrolment = _enrolled(data, "confirmed")
    work.put_enrolment(enrolment)
    work.welcome(enrolment, enrolment.participants, "confirmation")
    work.lacking(enrolment)


def _waitlisted(work: _Work, data: facts.EnrolmentWaitlisted) -> None:
    enrolment = _enrolled(data, "waiting")
    work.put_enrolment(enrolment)
    _wait(work, enrolment, enrolment.participants, data.place)


def _wait(work: _Work, enrolment: Enrolment, participants: Iterable[Participant], place: int | None) -> None:
    for participant in participants:
        work.join(participant.person, enrolment.id)
        if not work.silent:
            work.mail("waiting", participant.person, enrolment=enrolment.id, detail=Detail(place=place))


def _refused(work: _Work, data: facts.EnrolmentRefused) -> None:
    enrolment = _enrolled(data, "refused", reasons=data.reasons)
    work.put_enrolment(enrolment)
    for participant in enrolment.participants:
        work.mail("refusal", participant.person, enrolment=enrolment.id)


def _promoted(work: _Work, data: facts.EnrolmentPromoted) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or enrolment.status != "waiting":
        return
    enrolment = dataclasses.replace(enrolment, status="confirmed")
    work.put_enrolment(enrolment)
    work.welcome(enrolment, enrolment.participants, "promotion")
    work.lacking(enrolment)


def _withdrawn(work: _Work, data: facts.EnrolmentWithdrawn) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or enrolment.status not in ("confirmed", "waiting"):
        return
    work.put_enrolment(dataclasses.replace(enrolment, status="withdrawn"))
    work.part(enrolment, (each.person for each in enrolment.participants))


def _completed(work: _Work, data: facts.EnrolmentCompleted) -> None:
    if (enrolment := work.enrolment(data.enrolment)) is not None:
        work.put_enrolment(dataclasses.replace(enrolment, missing=(), complete_by=None))


def _incomplete(work: _Work, data: facts.EnrolmentIncomplete) -> None:
    before = work.enrolment(data.enrolment)
    if before is None:
        return
    after = dataclasses.replace(before, missing=data.missing, complete_by=data.complete_by)
    work.put_enrolment(after)
    if after != before and after.status == "confirmed":
        work.lacking(after)


def _participant_added(work: _Work, data: facts.ParticipantAdded) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or enrolment.participant(data.participant.person):
        return
    enrolment = dataclasses.replace(enrolment, participants=(*enrolment.participants, data.participant))
    work.put_enrolment(enrolment)
    _newcomer(work, enrolment, data.participant)


def _newcomer(work: _Work, enrolment: Enrolment, participant: Participant) -> None:
    if enrolment.status == "confirmed":
        work.welcome(enrolment, (participant,), "confirmation")
    elif enrolment.status == "waiting":
        _wait(work, enrolment, (participant,), None)


def _participant_changed(work: _Work, data: facts.ParticipantChanged) -> None:
    if (enrolment := work.enrolment(data.enrolment)) is not None:
        work.put_enrolment(
            dataclasses.replace(
                enrolment,
                participants=tuple(
                    data.participant if each.person == data.participant.person else each
                    for each in enrolment.participants
                ),
            )
        )
        work.reconcile(data.participant.person)


def _participant_replaced(work: _Work, data: facts.ParticipantReplaced) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or not enrolment.participant(data.person):
        return
    enrolment = dataclasses.replace(
        enrolment,
        participants=tuple(data.participant if each.person == data.person else each for each in enrolment.participants),
    )
    work.put_enrolment(enrolment)
    work.part(enrolment, (data.person,))
    _newcomer(work, enrolment, data.participant)


def _participant_withdrawn(work: _Work, data: facts.ParticipantWithdrawn) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or not enrolment.participant(data.person):
        return
    rest = tuple(each for each in enrolment.participants if each.person != data.person)
    enrolment = dataclasses.replace(enrolment, participants=rest)
    work.put_enrolment(enrolment)
    work.part(enrolment, (data.person,))


def _institution(work: _Work, data: facts.OrganisationRegistered | facts.OrganisationChanged) -> None:
    key = entities.institution_key(data.organisation.id)
    work.state = work.state.put(NO_PROGRAMME, key, Institution(data.organisation))


_RULES: dict[type[Message], Callable[[_Work, Any], None]] = {
    facts.ProgrammePublished: _published,
    facts.ProgrammeDescribed: _described,
    facts.ProgrammeOrganised: _organised,
    facts.ProgrammeClassified: _classified,
    facts.ProgrammeRulesChanged: _rules_changed,
    facts.ProgrammeCapacityRaised: _capacity_changed,
    facts.ProgrammeCapacityLowered: _capacity_changed,
    facts.ProgrammeTeamRuleChanged: _team_rule_changed,
    facts.ProgrammeWithdrawn: _programme_withdrawn,
    facts.SessionAdded: _session_added,
    facts.SessionMoved: _session_moved,
    facts.SessionDescribed: _session_described,
    facts.SessionCancelled: _session_cancelled,
    facts.EnrolmentConfirmed: _confirmed,
    facts.EnrolmentWaitlisted: _waitlisted,
    facts.EnrolmentRefused: _refused,
    facts.EnrolmentPromoted: _promoted,
    facts.EnrolmentWithdrawn: _withdrawn,
    facts.EnrolmentCompleted: _completed,
    facts.EnrolmentIncomplete: _incomplete,
    facts.ParticipantAdded: _participant_added,
    facts.ParticipantChanged: _participant_changed,
    facts.ParticipantReplaced: _participant_replaced,
    facts.ParticipantWithdrawn: _participant_withdrawn,
    facts.OrganisationRegistered: _institution,
    facts.OrganisationChanged: _institution,
}

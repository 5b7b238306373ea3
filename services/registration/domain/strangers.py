"""
Requests that anybody may have sent: those whom they name have to confirm them first (:mod:`confirming`).

Until then they hold a bounded share of the programme at most. What is decided here may depend on whether a person takes
part already, or ever confirmed anything; what the public is told (:func:`expected`) does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from contracts.enrolment import Participant
from contracts.facts import EnrolmentPending, EnrolmentRefused, RegistrationFact
from contracts.programme import Programme
from services.registration.domain import reasons, rules, waiting
from services.registration.domain.arriving import asked_for, come_in
from services.registration.domain.commands import Decision, Moment, Rejected, RequestEnrolment, Stranger
from services.registration.domain.evolution import evolve
from services.registration.domain.state import ProgrammeState

SHORTEST: Final = timedelta(hours=1)
"""What a mail may take to be sent, read and answered, also where a session begins soon."""

_SCARCE: Final = 10
"""Places are scarce when fewer than one in so many is free: they are held for a quarter of the time."""


class Expected(NamedTuple):
    """What becomes of a request if all whom it names confirm it, and whether it may have been left out."""

    waits: bool
    try_again: datetime | None


def expected(state: ProgrammeState, definition: Programme, command: RequestEnrolment) -> Expected:
    """What the public may be told of a request that breaks no rule: the same whoever it names."""
    units = rules.units_of(definition, command.participants)
    waits = not waiting.may_come_in_at_once(state, units)[0]
    if command.stranger is None:
        return Expected(waits, None)
    room = None if _may_wait(state, definition) else _room_to_hold(state, definition, command.stranger)
    left = command.stranger.source_mails_left
    if (left is None or len(command.participants) <= left) and (room is None or units <= room):
        return Expected(waits, None)
    return Expected(waits, _when_to_try_again(state, definition, command.stranger, command.now))


def requested(state: ProgrammeState, definition: Programme, command: RequestEnrolment, stranger: Stranger) -> Decision:
    """The facts that a request by a stranger makes true; none where all whom it names are awaited already."""
    people = command.participants
    needed = definition.enrolment.confirmation.needed
    broken = rules.broken_by_request(state, definition, command, Moment.at(command.now))
    if broken:
        if not _may_cause(stranger, people):
            return Rejected("refused", tuple(broken))
        units = rules.units_of(definition, people)
        asked = _asked(command, stranger, people) | {"units": units}
        return (EnrolmentRefused(**asked, reasons=tuple(broken)),)
    present = tuple(one for one in people if one.person in state.persons)
    others = [one for one in people if one.person not in state.persons and one.person not in state.awaited]
    asked_first = [
        one for one in others if needed == "always" or (needed == "unknown" and one.person in stranger.unknown)
    ]
    # Where nobody has to confirm, a mailbox that never did gets no more mails for it either.
    mails = _Mails(stranger)
    known = [one for one in others if one not in asked_first]
    at_once = [one for one in known if one.person not in stranger.unknown or mails.to([one])]
    before = _come_in_at_once(state, definition, command, stranger, people=at_once, present=present)
    for fact in before:
        state = evolve(state, fact)
    if definition.team:
        waits = _team_waits(state, definition, command, stranger, people=asked_first, held=not at_once)
    else:
        waits = _persons_wait(state, definition, command, stranger, asked_first)
    # A team's pending fact makes its enrolment; who need not confirm comes into that.
    facts = (*waits, *before) if definition.team else (*before, *waits)
    if present and not before and _may_cause(stranger, present):
        facts = (*facts, _told_to_be_present(command, stranger, present))
    return facts


def _may_cause(stranger: Stranger, people: Sequence[Participant]) -> bool:
    """Whether what comes to nothing may be a fact that names so many more: strangers do not fill the log."""
    return stranger.source_mails_left is None or len(people) <= stranger.source_mails_left


def _own_enrolments(command: RequestEnrolment, stranger: Stranger) -> dict[Participant, str]:
    """The id for each of the people, where they do not come in by the enrolment that was asked for."""
    return dict(zip(command.participants, stranger.enrolments, strict=True))


def _asked(
    command: RequestEnrolment,
    stranger: Stranger,
    people: Sequence[Participant],
    present: Sequence[Participant] = (),
) -> dict[str, Any]:
    asked = asked_for(command.enrolment, command.organisation_id, people, command.channel, command.source)
    asked["unconfirmed"] = tuple(one.person for one in people if one.person in stranger.unknown)
    asked["present"] = tuple(one.person for one in present)
    return asked


def _come_in_at_once(
    state: ProgrammeState,
    definition: Programme,
    command: RequestEnrolment,
    stranger: Stranger,
    *,
    people: Sequence[Participant],
    present: Sequence[Participant],
) -> tuple[RegistrationFact, ...]:
    """A team together, and persons each alone: what one of them is mailed (a price for all) tells nothing of others."""
    own = _own_enrolments(command, stranger)
    facts: list[RegistrationFact] = []
    for together in [people] if definition.team and people else [[one] for one in people]:
        asked = _asked(command, stranger, together, () if facts else present)
        asked["enrolment"] = own[together[0]] if facts else command.enrolment
        asked["complete_by"] = complete_by(state, definition, together, command.now)
        came = come_in(state, definition, asked, command.organisation, command.now)
        for fact in came:
            state = evolve(state, fact)
        facts.extend(came)
    return tuple(facts)


def _told_to_be_present(
    command: RequestEnrolment, stranger: Stranger, present: Sequence[Participant]
) -> EnrolmentRefused:
    """An enrolment of its own: the others of the request come in, or wait to be confirmed, without it."""
    asked = _asked(command, stranger, present, present)
    # How they are written to goes by the enrolment that they have.
    asked |= {"enrolment": _own_enrolments(command, stranger)[present[0]], "unconfirmed": ()}
    return EnrolmentRefused(**asked, reasons=(reasons.already_enrolled(len(present)),))


def _team_waits(
    state: ProgrammeState,
    definition: Programme,
    command: RequestEnrolment,
    stranger: Stranger,
    *,
    people: Sequence[Participant],
    held: bool,
) -> tuple[RegistrationFact, ...]:
    """One enrolment for all; its unit is to be ``held`` where nobody of the team has one by now."""
    asked = _Mails(stranger).to(people)
    if not asked:
        return ()
    room = _room_to_hold(state, definition, stranger)
    if held and room == 0 and not _may_wait(state, definition):
        return ()
    units = int(held and room != 0 and _is_free(state))
    reached = {stranger.mailboxes[person] for person in asked}
    reachable = [one for one in people if stranger.mailboxes[one.person] in reached]
    fields = _asked(command, stranger, reachable)
    return (_pending(state, definition, command.now, fields, asked=asked, held=units),)


def _persons_wait(
    state: ProgrammeState,
    definition: Programme,
    command: RequestEnrolment,
    stranger: Stranger,
    people: Sequence[Participant],
) -> tuple[RegistrationFact, ...]:
    """Each for themselves: one confirms today, another tomorrow, and a third never."""
    mails = _Mails(stranger)
    room = _room_to_hold(state, definition, stranger)
    own = _own_enrolments(command, stranger)
    facts: list[RegistrationFact] = []
    for one in people:
        if room == 0 and not _may_wait(state, definition):
            break
        asked = mails.to([one])
        if not asked:
            continue
        held = int(room != 0 and _is_free(state))
        fields = _asked(command, stranger, [one]) | {"enrolment": own[one]}
        fact = _pending(state, definition, command.now, fields, asked=asked, held=held)
        facts.append(fact)
        state = evolve(state, fact)
        room = None if room is None else room - held
    return tuple(facts)


class _Mails:
    """Whom of the people of a request the mail goes to that asks them: one for each mailbox and enrolment, and few."""

    def __init__(self, stranger: Stranger) -> None:
        self._mailboxes = stranger.mailboxes
        self._left = dict(stranger.mails_left)
        self._of_source = stranger.source_mails_left

    def to(self, people: Sequence[Participant]) -> tuple[str, ...]:
        """Whom to mail in one enrolment; nobody where their mailboxes have had as many as they may."""
        asked: dict[str, str] = {}
        for one in people:
            mailbox = self._mailboxes[one.person]
            if mailbox not in asked and self._left.get(mailbox, 0) > 0 and self._of_source != 0:
                asked[mailbox] = one.person
                self._left[mailbox] -= 1
                self._of_source = None if self._of_source is None else self._of_source - 1
        return tuple(asked.values())


def _pending(
    state: ProgrammeState,
    definition: Programme,
    now: datetime,
    fields: dict[str, Any],
    *,
    asked: tuple[str, ...],
    held: int,
) -> EnrolmentPending:
    missing = rules.missing_seats(definition.team, fields["participants"])
    return EnrolmentPending(
        **fields | {"missing": missing, "complete_by": _day_for(definition, now)},
        held=held,
        cause="always" if definition.enrolment.confirmation.needed == "always" else "address-unknown",
        confirm_by=confirm_by(state, definition, now),
        asked=asked,
    )


def _day_for(definition: Programme, now: datetime) -> datetime | None:
    """The day that the form names, for whoever of a team will still be missing when somebody of it confirms."""
    team = definition.team
    return rules.deadline(team.complete_within_days, now) if team and team.complete_within_days else None


def confirm_by(state: ProgrammeState, definition: Programme, now: datetime) -> datetime:
    """Until when a request that comes now can be confirmed: sooner where places are scarce, and before it begins."""
    capacity = definition.enrolment.capacity
    scarce = bool(state.waiting) or (capacity is not None and (state.free or 0) * _SCARCE < capacity)
    term = timedelta(hours=definition.enrolment.confirmation.within_hours)
    until = now + max(SHORTEST, term / 4 if scarce else term)
    to_come = [start for session in definition.sessions if (start := session.begins) is not None and start > now]
    # A link has whole seconds.
    return max(min([until, *to_come]), now + SHORTEST).astimezone(now.tzinfo).replace(microsecond=0)


def _is_free(state: ProgrammeState) -> bool:
    """Whether a unit can be held: nobody who waits is kept out by who may not exist."""
    return not state.waiting and state.fits(1)


def _may_wait(state: ProgrammeState, definition: Programme) -> bool:
    """Whether somebody for whom nothing can be held may still be asked: a place is found, or waited for, afterwards."""
    return definition.enrolment.waiting_list is not None or not _is_free(state)


def _room_to_hold(state: ProgrammeState, definition: Programme, stranger: Stranger) -> int | None:
    """How many more units strangers, and this one, may hold; None without a limit."""
    capacity = definition.enrolment.capacity
    if capacity is None:
        return None
    rule = definition.enrolment.confirmation
    of_all = _share(capacity, rule.held_percent) - state.held
    of_source = _share(capacity, rule.source_percent) - stranger.source_held
    return max(0, min(of_all, of_source))


def _share(capacity: int, percent: int) -> int:
    return max(1, capacity * percent // 100)


def _when_to_try_again(state: ProgrammeState, definition: Programme, stranger: Stranger, now: datetime) -> datetime:
    full = state.held >= _share(definition.enrolment.capacity or 1, definition.enrolment.confirmation.held_percent)
    next_lapse = state.next_lapse if full else None
    return rules.whole_minute(max(now, stranger.source_free or now, next_lapse or now))


def complete_by(
    state: ProgrammeState, definition: Programme, people: Sequence[Participant], now: datetime
) -> datetime | None:
    """A team that had to be complete at once has until the others had to confirm."""
    team = definition.team
    if team is None or team.complete_within_days is not None or not rules.missing_seats(team, people):
        return None
    return confirm_by(state, definition, now)

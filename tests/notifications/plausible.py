"""
Plausible logs: whatever registration could write in any order, with a model of its own of who should be invited.

The model knows nothing of invitations: only who is in, which sessions there are, and what time it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from contracts import facts
from contracts.base import Message
from contracts.enrolment import Participant
from contracts.session import Occasion, Online, Session
from tests.notifications.lives import (
    BROKEN,
    FREE,
    PRESENT,
    START,
    TEAM,
    UNDATED,
    Life,
    lapsed,
    missing,
    pending,
    session,
    title,
    withdrawn,
    words,
)

Pick = Callable[[int], int]
"""Chooses a number from 0 up to, not including, the one given."""

PERSONS = tuple("abcdef")


@dataclass(slots=True)
class Seats:
    """An enrolment as registration knows it."""

    status: str
    seats: dict[str, str]


@dataclass(slots=True)
class World:
    """What is so, and the log that made it so."""

    life: Life = field(default_factory=lambda: Life(session("kick-off", _occasion(30, 0)), session("s1"), team=TEAM))
    sessions: dict[str, Occasion] = field(default_factory=lambda: {"kick-off": _occasion(30, 0), "s1": UNDATED})
    enrolments: dict[str, Seats] = field(default_factory=dict)
    off: bool = False
    made: int = 2

    @property
    def now(self) -> datetime:
        return self.life.time

    def happens(self, data: Message) -> None:
        self.life.happens(data)

    def step(self, operation: str, pick: Pick) -> None:
        """One thing happens, if it can."""
        getattr(self, operation)(pick)

    def wanted(self) -> set[tuple[str, str]]:
        """Person and session of every item that should stand, as far as the session lies ahead."""
        if self.off:
            return set()
        return {
            (person, id_)
            for enrolment in self.enrolments.values()
            if enrolment.status == "confirmed"
            for person, seat in enrolment.seats.items()
            for id_, occasion in self.sessions.items()
            if occasion.finishes is not None and occasion.finishes > self.now and (seat == "maker" or id_ == "kick-off")
        }

    # What can happen --------------------------------------------------------------------------------------------------

    def enrol(self, pick: Pick) -> None:
        busy = {person for each in self.enrolments.values() if self._live(each) for person in each.seats}
        free = [person for person in PERSONS if person not in busy]
        if not free or self.off:
            return
        people = {free[pick(len(free))]: self._seat(pick) for _ in range(1 + pick(2))}
        id_ = f"e{len(self.enrolments)}"
        status = ("confirmed", "waiting", "refused")[pick(3)]
        common = {
            "enrolment": id_,
            "units": 1,
            "participants": tuple(Participant(person=person, seat=seat) for person, seat in people.items()),
            "source": "biblionet",
        }
        lacks = {"missing": missing("manager"), "complete_by": self.now + timedelta(days=20)} if pick(2) else {}
        if status == "confirmed":
            self.happens(facts.EnrolmentConfirmed.model_validate(common | lacks))
        elif status == "waiting":
            self.happens(facts.EnrolmentWaitlisted.model_validate(common | lacks | {"place": 1}))
        else:
            self.happens(facts.EnrolmentRefused.model_validate(common | {"reasons": (BROKEN,)}))
        self.enrolments[id_] = Seats(status, people)

    def ask(self, pick: Pick) -> None:
        """A stranger names somebody, who may take part already or be asked already."""
        person, seat, id_ = PERSONS[pick(len(PERSONS))], self._seat(pick), f"e{len(self.enrolments)}"
        if self.off or any(each.status == "pending" and person in each.seats for each in self.enrolments.values()):
            return
        participants = (Participant(person=person, seat=seat),)
        if self._takes_part(person):
            self._refuse_as_present(id_, participants)
        else:
            self.happens(pending(id_, participants=participants))
            self.enrolments[id_] = Seats("pending", {person: seat})

    def confirm(self, pick: Pick) -> None:
        if (id_ := self._pending(pick)) and not self.off:
            asked = self.enrolments[id_]
            ((person, seat),) = asked.seats.items()
            self.happens(facts.ParticipantConfirmed(enrolment=id_, person=person))
            participants = (Participant(person=person, seat=seat),)
            if self._takes_part(person):
                self._refuse_as_present(id_, participants)
            else:
                self.happens(
                    facts.EnrolmentConfirmed(
                        enrolment=id_, units=1, participants=participants, source="web", channel="web"
                    )
                )
                asked.status = "confirmed"

    def lapse(self, pick: Pick) -> None:
        if id_ := self._pending(pick):
            self.happens(lapsed(id_))
            self.enrolments[id_].status = "lapsed"

    def _pending(self, pick: Pick) -> str | None:
        found = [id_ for id_, each in self.enrolments.items() if each.status == "pending"]
        return found[pick(len(found))] if found else None

    def _takes_part(self, person: str) -> bool:
        return any(self._live(each) and person in each.seats for each in self.enrolments.values())

    def _refuse_as_present(self, id_: str, participants: tuple[Participant, ...]) -> None:
        self.happens(
            facts.EnrolmentRefused(
                enrolment=id_,
                units=1,
                participants=participants,
                source="web",
                channel="web",
                reasons=(PRESENT,),
                present=tuple(each.person for each in participants),
            )
        )
        self.enrolments[id_] = Seats("refused", {})

    def promote(self, pick: Pick) -> None:
        waiting = [id_ for id_, each in self.enrolments.items() if each.status == "waiting"]
        if waiting and not self.off:
            id_ = waiting[pick(len(waiting))]
            self.enrolments[id_].status = "confirmed"
            self.happens(facts.EnrolmentPromoted(enrolment=id_, reason=FREE))

    def withdraw(self, pick: Pick) -> None:
        if id_ := self._some(pick):
            before = self.enrolments[id_].status
            self.enrolments[id_].status = "withdrawn"
            self.happens(withdrawn(id_, before))

    def add(self, pick: Pick) -> None:
        if (id_ := self._some(pick)) and (person := self._free(pick)):
            seat = self._seat(pick)
            self.enrolments[id_].seats[person] = seat
            participant = Participant(person=person, seat=seat)
            self.happens(facts.ParticipantAdded(enrolment=id_, participant=participant, units=1))

    def change(self, pick: Pick) -> None:
        if id_ := self._some(pick):
            person = self._member(id_, pick)
            seat = self._seat(pick)
            self.enrolments[id_].seats[person] = seat
            self.happens(facts.ParticipantChanged(enrolment=id_, participant=Participant(person=person, seat=seat)))

    def replace(self, pick: Pick) -> None:
        if (id_ := self._some(pick)) and (newcomer := self._free(pick)):
            person = self._member(id_, pick)
            seat = self.enrolments[id_].seats.pop(person)
            self.enrolments[id_].seats[newcomer] = seat
            participant = Participant(person=newcomer, seat=seat)
            self.happens(facts.ParticipantReplaced(enrolment=id_, person=person, participant=participant))

    def leave(self, pick: Pick) -> None:
        if (id_ := self._some(pick)) and len(self.enrolments[id_].seats) > 1:
            person = self._member(id_, pick)
            del self.enrolments[id_].seats[person]
            self.happens(facts.ParticipantWithdrawn(enrolment=id_, person=person, units=1))

    def lack(self, pick: Pick) -> None:
        if id_ := self._some(pick):
            deadline = self.now + timedelta(days=1 + pick(30))
            self.happens(facts.EnrolmentIncomplete(enrolment=id_, missing=missing("maker"), complete_by=deadline))

    def complete(self, pick: Pick) -> None:
        if id_ := self._some(pick):
            self.happens(facts.EnrolmentCompleted(enrolment=id_))

    def move(self, pick: Pick) -> None:
        if self.sessions and not self.off:
            id_ = sorted(self.sessions)[pick(len(self.sessions))]
            after = self._occasion(pick)
            before = self.sessions[id_]
            if after != before:
                self.sessions[id_] = after
                self.happens(facts.SessionMoved(session=id_, before=before, after=after))

    def describe(self, pick: Pick) -> None:
        if self.sessions:
            id_ = sorted(self.sessions)[pick(len(self.sessions))]
            self.happens(facts.SessionDescribed(session=id_, title=title(f"woord {pick(9)}")))

    def hold_another(self, pick: Pick) -> None:
        if not self.off and len(self.sessions) < 4:
            id_ = f"s{self.made}"
            self.made += 1
            self.sessions[id_] = self._occasion(pick)
            self.happens(facts.SessionAdded(session=Session(id=id_, title=title(id_), **dict(self.sessions[id_]))))

    def cancel(self, pick: Pick) -> None:
        if self.sessions and not self.off:
            id_ = sorted(self.sessions)[pick(len(self.sessions))]
            del self.sessions[id_]
            self.happens(facts.SessionCancelled(session=id_))

    def call_off(self, pick: Pick) -> None:
        # Seldom: nothing happens afterwards.
        if pick(4) == 3 and not self.off:
            self.off = True
            self.happens(facts.ProgrammeWithdrawn(reason=words("Te weinig deelnemers.")))

    def let_time_pass(self, pick: Pick) -> None:
        self.life.time += timedelta(days=1 + pick(40))
        # Items of sessions that ended are looked at again with the next fact only.
        self.happens(facts.ProgrammeDescribed(title=title("x"), description=words("x"), kind="track"))

    # ------------------------------------------------------------------------------------------------------------------

    def _some(self, pick: Pick) -> str | None:
        live = [id_ for id_, each in self.enrolments.items() if self._live(each)]
        return live[pick(len(live))] if live else None

    def _member(self, id_: str, pick: Pick) -> str:
        members = sorted(self.enrolments[id_].seats)
        return members[pick(len(members))]

    def _free(self, pick: Pick) -> str | None:
        busy = {person for each in self.enrolments.values() if self._live(each) for person in each.seats}
        free = [person for person in PERSONS if person not in busy]
        return free[pick(len(free))] if free else None

    @staticmethod
    def _live(enrolment: Seats) -> bool:
        return enrolment.status in ("confirmed", "waiting")

    @staticmethod
    def _seat(pick: Pick) -> str:
        return ("maker", "manager")[pick(2)]

    def _occasion(self, pick: Pick) -> Occasion:
        # From no date over a day that is past to a day far ahead.
        days = (self.now - START).days + pick(90) - 10
        return _occasion(days, pick(3)) if pick(4) else UNDATED


def _occasion(days: int, link: int) -> Occasion:
    start = (START + timedelta(days=days)).astimezone(UTC).replace(tzinfo=None, minute=0)
    return Occasion(
        start=start, end=start + timedelta(hours=2), online=Online(join_link=f"https://meet.example/{link}")
    )


OPERATIONS = (
    "enrol",
    "ask",
    "confirm",
    "lapse",
    "promote",
    "withdraw",
    "add",
    "change",
    "replace",
    "leave",
    "lack",
    "complete",
    "move",
    "describe",
    "hold_another",
    "cancel",
    "call_off",
    "let_time_pass",
)

"""
Logs as the services could have written them: every fact fits what came before it.

Who chooses is up to the caller: Hypothesis, which looks for a log that breaks something and then for the shortest one,
or a seeded generator, which makes the same long log again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st

from contracts import facts
from contracts.base import Message, OrganisationKind, Province, Text, Title
from contracts.enrolment import Enrolled, Participant, Reason
from contracts.envelope import Envelope, UnknownData
from contracts.facts import NAMES, NO_PROGRAMME, SERVICES, Fact, variant
from contracts.organisation import Organisation
from contracts.programme import Contact, Eligibility, EnrolmentRules, Programme, ProgrammeKind, Seat, TeamRule
from contracts.session import Session
from contracts.subjects import fact_subject
from contracts.theme import Goal, Theme, ThemeReference

Option = TypeVar("Option")
Choose = Callable[[Sequence[Any]], Any]

BEGINNING = datetime(2023, 3, 2, 22, 30, tzinfo=UTC)
"""Half past eleven in the evening in Amsterdam: the next day is near, and in UTC it is further away."""

MUNICIPALITIES = ("Zeist", "Almelo", "Hof van Twente", "HOF VAN TWENTE", None)
RULES = ("closed", "full", "not-eligible-kind", "already-enrolled")
ROLES = ("manager", "taalhuis", None)
PURPOSES = ("confirmation", "invite", "refusal")
SESSIONS = ("aftrap", "werksessie")
ANYBODY = Eligibility()
MEETING, TEAMS = "uitwisseling", "gezinsaanpak"


@dataclass
class _Enrolment:
    id: str
    programme: str
    status: str
    people: list[Participant]
    units: int
    awaited: list[Participant] = field(default_factory=list)
    held: int = 0


@dataclass
class PlausibleLogs:
    """
    The logs of registration and of notifications while they grow.

    Attributes:
        choose: picks one of the options that it is given.
        programmes, organisations: how many there are at most.
        registration, notifications: the facts so far.
    """

    choose: Choose
    programmes: int = 4
    organisations: int = 6
    registration: list[Fact] = field(default_factory=list)
    notifications: list[Fact] = field(default_factory=list)
    _time: datetime = BEGINNING
    _versions: dict[str, int] = field(default_factory=dict)
    _programmes: dict[str, Programme] = field(default_factory=dict)
    _organisations: list[str] = field(default_factory=list)
    _active: list[_Enrolment] = field(default_factory=list)
    _waiting: list[_Enrolment] = field(default_factory=list)
    _awaited: list[_Enrolment] = field(default_factory=list)
    _sent: list[Any] = field(default_factory=list)
    _failed: list[Any] = field(default_factory=list)
    _bounced: list[facts.MailBounced] = field(default_factory=list)
    _mail_programmes: dict[str, str] = field(default_factory=dict)
    _count: int = 0

    def grow(self) -> None:
        """One more thing happens: one fact or a few."""
        self._time += timedelta(minutes=self.choose((1, 20, 60, 60 * 26)))
        possible: list[Callable[[], None]] = [self._organisation, self._theme, self._unknown]
        if len(self._programmes) < self.programmes:
            possible.append(self._publish)
        if self._programmes:
            possible += [self._enrol] * 6 + [self._change_programme, self._ask_to_confirm]
        if self._active:
            possible += [self._withdraw, self._change_people, self._mail, self._mail, self._mail]
        if self._waiting:
            possible.append(self._promote)
        if self._awaited:
            possible += [self._confirm, self._lapse]
        if self._failed:
            possible.append(self._retry)
        if self._sent:
            possible += [self._bounce, self._answer]
        self.choose(possible)()

    # What happens -------------------------------------------------------------------------------------------------

    def _organisation(self) -> None:
        id_ = f"organisation-{self.choose(range(self.organisations))}"
        known = id_ in self._organisations
        organisation = Organisation(
            id=id_,
            name=self.choose((f"Bibliotheek {id_[-1]}", '=HYPERLINK("http://x.example")')),
            kind=self.choose(tuple(OrganisationKind)),
            province=self.choose((Province.UTRECHT, Province.OVERIJSSEL, None)),
            municipality=self.choose(MUNICIPALITIES),
        )
        if known:
            self._append(NO_PROGRAMME, facts.OrganisationChanged(organisation=organisation))
        else:
            self._organisations.append(id_)
            self._append(NO_PROGRAMME, facts.OrganisationRegistered(organisation=organisation))

    def _theme(self) -> None:
        self._append(NO_PROGRAMME, facts.ThemePublished(theme=theme(self.choose(((), ("delen",), ("delen", "leren"))))))

    def _unknown(self) -> None:
        self._append(self.choose((NO_PROGRAMME, MEETING)), UnknownData(), "weather.turned.v1")

    def _publish(self) -> None:
        number = len(self._programmes)
        make = self.choose((meeting, team_track))
        programme = make(
            f"{MEETING if make is meeting else TEAMS}-{number}",
            themes=self.choose(((), (ThemeReference(theme="vluchtelingen", goals=("delen",)),))),
            organisers=(self.choose(("organisation-0", "elders")),),
            eligible=self.choose((Eligibility(), Eligibility(kinds=(OrganisationKind.LIBRARY,)))),
            sessions=tuple(Session(id=id_, title=Title(nl=id_, en=f"{id_} (en)")) for id_ in SESSIONS),
        )
        self._programmes[programme.id] = programme
        self._append(programme.id, facts.ProgrammePublished(programme=programme))

    def _change_programme(self) -> None:
        programme = self._programme()
        self._append(
            programme.id,
            self.choose(
                (
                    facts.ProgrammeDescribed(
                        title=Title(nl="Anders", en="Different"),
                        description=programme.description,
                        kind=ProgrammeKind.INSPIRATION,
                    ),
                    facts.ProgrammeCapacityRaised(before=10, after=None),
                    facts.ProgrammeClassified(themes=(ThemeReference(theme="vluchtelingen", goals=()),)),
                    facts.ProgrammeOrganised(
                        organisers=("organisation-1",),
                        content_contact=programme.content_contact,
                        enrolment_contact=programme.enrolment_contact,
                    ),
                    facts.ProgrammeWithdrawn(),
                )
            ),
        )

    def _enrol(self) -> None:
        programme = self._programme()
        self._come_in(_Enrolment(self._id("enrolment"), programme.id, "", self._people(programme), 1))

    def _people(self, programme: Programme) -> list[Participant]:
        return [self._person("jeugd"), self._person("manager")] if programme.team else [self._person(None)]

    def _enrolled(self, enrolment: _Enrolment, people: Sequence[Participant]) -> dict[str, Any]:
        return {
            "enrolment": enrolment.id,
            "organisation": self.choose((*self._organisations, "nergens-bekend", None)),
            "units": enrolment.units,
            "participants": tuple(people),
            "source": "biblionet",
        }

    def _ask_to_confirm(self) -> None:
        """Strangers; of a team somebody may be known and come in at once."""
        programme = self._programme()
        people = self._people(programme)
        known = people[:1] if len(people) > 1 and self.choose((True, False)) else []
        enrolment = _Enrolment(self._id("enrolment"), programme.id, "pending", [], 1, awaited=people[len(known) :])
        enrolment.held = 0 if known else self.choose((0, 1))
        self._awaited.append(enrolment)
        pending = facts.EnrolmentPending(
            **self._enrolled(enrolment, enrolment.awaited),
            held=enrolment.held,
            cause="address-unknown",
            confirm_by=self._time + timedelta(days=2),
            asked=(enrolment.awaited[0].person,),
        )
        self._append(programme.id, pending)
        if known:
            enrolment.people = known
            self._come_in(enrolment)

    def _confirm(self) -> None:
        """Some of those who are awaited, or all of them because the staff vouch for them."""
        enrolment = self.choose(self._awaited[-20:])
        came = enrolment.awaited[: self.choose(range(len(enrolment.awaited))) + 1]
        if self.choose((True, False)):
            for each in came:
                self._append(
                    enrolment.programme, facts.ParticipantConfirmed(enrolment=enrolment.id, person=each.person)
                )
        else:
            came = enrolment.awaited
        enrolment.awaited = enrolment.awaited[len(came) :]
        if not enrolment.awaited:
            self._awaited.remove(enrolment)
        if enrolment.status == "pending":
            enrolment.people = list(came)
            self._come_in(enrolment)
            return
        for each in came:
            enrolment.people.append(each)
            added = facts.ParticipantAdded(enrolment=enrolment.id, participant=each, units=enrolment.units)
            self._append(enrolment.programme, added)

    def _lapse(self) -> None:
        enrolment = self._take(self._awaited)
        lapsed = facts.EnrolmentLapsed(
            enrolment=enrolment.id,
            people=len(enrolment.awaited),
            units=enrolment.held,
            cause=self.choose(("expired", "withdrawn")),
        )
        enrolment.awaited = []
        self._append(enrolment.programme, lapsed)

    def _come_in(self, enrolment: _Enrolment) -> None:
        status = enrolment.status = self.choose(("confirmed", "confirmed", "waiting", "refused"))
        common = self._enrolled(enrolment, enrolment.people)
        data: Enrolled
        enrolment.held = 0
        if status == "refused":
            self._give_up(enrolment)
            rules = dict.fromkeys((self.choose(RULES), self.choose(RULES)))
            data = facts.EnrolmentRefused(
                **common, reasons=tuple(Reason(rule=rule, nl=f"Nee: {rule}.", en=f"No: {rule}.") for rule in rules)
            )
        elif status == "waiting":
            data = facts.EnrolmentWaitlisted(**common, place=1)
            self._waiting.append(enrolment)
            self._active.append(enrolment)
        else:
            data = facts.EnrolmentConfirmed(**common)
            self._active.append(enrolment)
        self._append(enrolment.programme, data)

    def _give_up(self, enrolment: _Enrolment) -> None:
        """Nobody is awaited any more, and no fact of its own says so."""
        enrolment.awaited = []
        if enrolment in self._awaited:
            self._awaited.remove(enrolment)

    def _promote(self) -> None:
        enrolment = self._take(self._waiting)
        enrolment.status = "confirmed"
        reason = Reason(rule="place-free", nl="Er kwam een plaats vrij.", en="A place came free.")
        self._append(enrolment.programme, facts.EnrolmentPromoted(enrolment=enrolment.id, reason=reason))

    def _withdraw(self) -> None:
        enrolment = self._take(self._active)
        before: Any = enrolment.status
        if enrolment in self._waiting:
            self._waiting.remove(enrolment)
        self._give_up(enrolment)
        reason = Reason(rule="withdrawn", nl="Op verzoek.", en="On request.")
        self._append(
            enrolment.programme, facts.EnrolmentWithdrawn(enrolment=enrolment.id, before=before, reason=reason)
        )

    def _change_people(self) -> None:
        enrolment = self.choose(self._active[-20:])
        what = self.choose(("add", "change", "replace", "withdraw"))
        data: Message
        if what == "add":
            added = self._person(enrolment.people[0].seat)
            enrolment.people.append(added)
            enrolment.units += added.seat is None
            data = facts.ParticipantAdded(enrolment=enrolment.id, participant=added, units=enrolment.units)
        elif what == "change":
            changed = enrolment.people[0].model_copy(update={"role": self.choose(ROLES)})
            enrolment.people[0] = changed
            data = facts.ParticipantChanged(enrolment=enrolment.id, participant=changed)
        elif what == "replace":
            person, enrolment.people[0] = enrolment.people[0].person, self._person(enrolment.people[0].seat)
            data = facts.ParticipantReplaced(enrolment=enrolment.id, person=person, participant=enrolment.people[0])
        elif len(enrolment.people) > 1:
            left = enrolment.people.pop()
            enrolment.units = max(1, enrolment.units - (left.seat is None))
            data = facts.ParticipantWithdrawn(enrolment=enrolment.id, person=left.person, units=enrolment.units)
        else:
            data = facts.PersonErased(person=enrolment.people[0].person)
            self._append(NO_PROGRAMME, data)
            return
        self._append(enrolment.programme, data)

    def _mail(self) -> None:
        enrolment = self.choose(self._active[-20:])
        mail: dict[str, Any] = {
            "mail": self._id("mail"),
            "purpose": self.choose(PURPOSES),
            "person": enrolment.people[0].person,
            "enrolment": enrolment.id,
        }
        if mail["purpose"] == "invite":
            mail["session"] = self.choose(SESSIONS)
        self._mail_programmes[mail["mail"]] = enrolment.programme
        self._attempt(mail)

    def _attempt(self, mail: dict[str, Any]) -> None:
        sent = self.choose((True, True, True, False))
        data: facts.MailSent | facts.MailFailed = (
            facts.MailSent(**mail)
            if sent
            else facts.MailFailed(**mail, cause=self.choose(("refused", "given-up", "uncertain")))
        )
        (self._sent if sent else self._failed).append(data)
        self._append(self._mail_programmes[data.mail], data)

    def _retry(self) -> None:
        """Also of what came back; and it may fail once more."""
        self._attempt(_mail_of(self._take(self._failed)))

    def _bounce(self) -> None:
        """Of what was sent, or of what nobody knew of whether it was; also once more, by another report."""
        uncertain = [each for each in self._failed if isinstance(each, facts.MailFailed) and each.cause == "uncertain"]
        mail = self.choose((*self._sent[-20:], *uncertain[-20:], *self._bounced[-5:]))
        data = facts.MailBounced(
            **_mail_of(mail), status=self.choose(("5.1.1", "4.2.2", None)), suppressed=self.choose((True, False))
        )
        for known in (self._sent, self._failed):
            if mail in known:
                known.remove(mail)
                self._failed.append(data)
                self._bounced.append(data)
                break
        self._append(self._mail_programmes[data.mail], data)

    def _answer(self) -> None:
        """To an invitation; again and again, also from somebody who left meanwhile."""
        mail = self.choose(self._sent[-20:])
        answered = facts.InvitationAnswered(
            enrolment=mail.enrolment,
            session=mail.session or self.choose(SESSIONS),
            person=mail.person,
            answer=self.choose(("accepted", "tentative", "declined")),
        )
        self._append(self._mail_programmes[mail.mail], answered)

    # How it is written down ---------------------------------------------------------------------------------------

    def _append(self, programme: str, data: Message, type_: str | None = None) -> None:
        name = type_ or NAMES[type(data)]
        log = self.notifications if SERVICES.get(name) == "notifications" else self.registration
        version = self._versions[programme] = self._versions.get(programme, 0) + 1
        log.append(fact(data, programme, self._time, len(log) + 1, type_=name, version=version))

    def _programme(self) -> Programme:
        programme: Programme = self.choose(tuple(self._programmes.values()))
        return programme

    def _person(self, seat: str | None) -> Participant:
        return Participant(person=self._id("person"), seat=seat, role=self.choose(ROLES))

    def _id(self, what: str) -> str:
        self._count += 1
        return f"{what}-{self._count}"

    def _take(self, among: list[Any]) -> Any:
        # The latest are near the end: a long log stays cheap to grow.
        place = self.choose(range(max(0, len(among) - 20), len(among)))
        return among.pop(place)


def _mail_of(data: facts.MailSent | facts.MailFailed | facts.MailBounced) -> dict[str, Any]:
    """What every fact about one mail says of it."""
    return {name: getattr(data, name) for name in facts.MailSent.model_fields if name != "copy_of"}


def fact(
    data: Message,
    programme: str,
    time: datetime = BEGINNING,
    position: int = 1,
    *,
    type_: str | None = None,
    version: int = 1,
) -> Fact:
    """A fact in its envelope."""
    name = type_ or NAMES[type(data)]
    model: Any = Envelope[UnknownData] if isinstance(data, UnknownData) else variant(name)
    made: Fact = model(
        id=f"{name}-{position}",
        source=SERVICES.get(name, "registration"),
        type=name,
        subject=programme,
        time=time,
        position=position,
        version=version,
        data=data,
    )
    return made


def subject_and_body(fact: Fact) -> tuple[str, bytes]:
    """Where a fact is published, and as what."""
    return fact_subject(fact.source, fact.type, fact.subject), fact.model_dump_json().encode()


def theme(
    goals: Sequence[str] = ("delen", "leren"), municipalities: Sequence[str] = ("Almelo", "Hof van Twente")
) -> Theme:
    """A theme with goals that are to be reached in municipalities."""
    return Theme(
        id="vluchtelingen",
        title=Title(nl="Vluchtelingen", en="Refugees"),
        province=Province.OVERIJSSEL,
        municipalities=tuple(municipalities),
        goals=tuple(Goal(id=goal, title=Title(nl=goal, en=f"{goal} (en)")) for goal in goals),
    )


def meeting(id_: str = MEETING, *, eligible: Eligibility = ANYBODY, **changes: Any) -> Programme:
    """A programme for persons."""
    return _programme(id_, ProgrammeKind.MEETING, EnrolmentRules(capacity=10, eligible=eligible), None, **changes)


def team_track(id_: str = TEAMS, *, eligible: Eligibility = ANYBODY, **changes: Any) -> Programme:
    """A programme for teams of two seats, 20 hours and 3."""
    seats = (
        Seat(id="jeugd", title=Title(nl="Jeugd", en="Youth"), hours=20),
        Seat(id="manager", title=Title(nl="Manager", en="Manager"), hours=3),
    )
    return _programme(
        id_, ProgrammeKind.TRACK, EnrolmentRules(per="team", eligible=eligible), TeamRule(seats=seats), **changes
    )


def _programme(
    id_: str, kind: ProgrammeKind, rules: EnrolmentRules, team: TeamRule | None, **changes: Any
) -> Programme:
    contact = Contact(name="Servicepunt", email="servicepunt@organisatie.example")
    return Programme.model_validate(
        {
            "id": id_,
            "kind": kind,
            "title": Title(nl=f"Programma {id_}", en=f"Programme {id_}"),
            "description": Text(nl="Een programma.", en="A programme."),
            "organisers": ("organisation-0",),
            "content_contact": contact,
            "enrolment_contact": contact,
            "enrolment": rules,
            "team": team,
            **changes,
        }
    )


@st.composite
def logs(draw: st.DrawFn, most: int = 40) -> PlausibleLogs:
    """The two logs after some things have happened."""
    grown = PlausibleLogs(lambda options: draw(st.sampled_from(options)))
    for _ in range(draw(st.integers(0, most))):
        grown.grow()
    return grown


def grown(choose: Choose, facts_wanted: int, programmes: int = 4, organisations: int = 6) -> PlausibleLogs:
    """The two logs, together at least so many facts long."""
    logs = PlausibleLogs(choose, programmes, organisations)
    while len(logs.registration) + len(logs.notifications) < facts_wanted:
        logs.grow()
    return logs


def interleaved(draw: st.DrawFn, one: Sequence[Fact], other: Sequence[Fact]) -> Iterator[Fact]:
    """Both logs as one reader could meet them: each in its order, together in any."""
    left, right = list(one), list(other)
    while left or right:
        from_left = bool(left) and (not right or draw(st.booleans()))
        yield (left if from_left else right).pop(0)

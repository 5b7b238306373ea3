"""Facts in words, before or after they come true: what happens to a programme, and what people are mailed of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from contracts import facts as f
from contracts.facts import NAMES, RegistrationFact
from contracts.programme import Programme
from contracts.session import Occasion, Session
from services.registration.domain.evolution import evolve
from services.registration.domain.reasons.foresight import named
from services.registration.domain.reasons.words import counted
from services.registration.domain.state import ProgrammeState
from services.registration.domain.telling import Told


class Change(NamedTuple):
    """What one fact, or several of a kind, bring about: in words, and the ids of those who are mailed of it."""

    type: str
    times: int
    nl: str
    en: str
    people: frozenset[str]


class _Words(NamedTuple):
    nl: str
    en: str
    told_nl: str = ""
    told_en: str = ""


def changes(
    state: ProgrammeState, facts: Sequence[RegistrationFact], told: Iterable[Told], now: datetime
) -> tuple[Change, ...]:
    """What these facts bring about, in their order, those of many enrolments as one; ``state`` is before them."""
    hearing = {id(one.fact): one.people for one in told}
    found: dict[tuple[str, str], tuple[RegistrationFact, _Words, int, frozenset[str]]] = {}
    for fact in facts:
        session = _session(fact, state.definition)
        kind, people = NAMES[type(fact)], hearing.get(id(fact), frozenset())
        key = kind, session.id if session is not None else ""
        first, words, times, heard = found.get(key) or (fact, _words(fact, session, state, now), 0, frozenset[str]())
        found[key] = first, words, times + 1, heard | people
        state = evolve(state, fact)
    return tuple(_change(kind, *rest) for (kind, _), rest in found.items())


def _change(kind: str, fact: RegistrationFact, words: _Words, times: int, people: frozenset[str]) -> Change:
    nl, en = _many(fact, times) or (words.nl, words.en)
    if people:
        nl += f": {counted(len(people), 'persoon krijgt', 'personen krijgen')} mail {words.told_nl}"
        en += f": {counted(len(people), 'person is', 'people are')} mailed {words.told_en}"
    return Change(kind, times, f"{nl[:1].upper()}{nl[1:]}.", f"{en[:1].upper()}{en[1:]}.", people)


def _session(fact: RegistrationFact, definition: Programme | None) -> Session | None:
    match fact:
        case f.SessionAdded(session=session):
            return session
        case f.SessionMoved(session=id_) | f.SessionDescribed(session=id_) | f.SessionCancelled(session=id_):
            return definition.session(id_) if definition is not None else None
        case _:
            return None


def _many(fact: RegistrationFact, times: int) -> tuple[str, str] | None:
    """What happens to enrolments, each of which has a fact of its own."""

    def said(one_nl: str, more_nl: str, one_en: str, more_en: str) -> tuple[str, str]:
        return (
            counted(times, f"aanmelding {one_nl}", f"aanmeldingen {more_nl}"),
            counted(times, f"enrolment {one_en}", f"enrolments {more_en}"),
        )

    match fact:
        case f.EnrolmentPromoted():
            return said("krijgt een plek", "krijgen een plek", "gets a place", "get a place")
        case f.EnrolmentPassedOver():
            return said("blijft wachten", "blijven wachten", "goes on waiting", "go on waiting")
        case f.EnrolmentCompleted():
            return said("mist niemand meer", "missen niemand meer", "lacks nobody any more", "lack nobody any more")
        case f.EnrolmentIncomplete():
            return said("mist minder mensen", "missen minder mensen", "lacks fewer people", "lack fewer people")
        case f.EnrolmentLapsed():
            return said(
                "die nog bevestigd moest worden, vervalt",
                "die nog bevestigd moesten worden, vervallen",
                "that had yet to be confirmed lapses",
                "that had yet to be confirmed lapse",
            )
        case _:
            return None


def _words(fact: RegistrationFact, session: Session | None, state: ProgrammeState, now: datetime) -> _Words:
    if session is not None:
        return _of_session(fact, session, state, now)
    match fact:
        case f.ProgrammePublished():
            return _Words("het programma wordt gepubliceerd", "the programme is published")
        case f.ProgrammeDescribed():
            return _Words("de tekst over het programma verandert", "the words about the programme change")
        case f.ProgrammeOrganised():
            return _Words("de organisatoren of contacten veranderen", "the organisers or contacts change")
        case f.ProgrammeClassified():
            return _Words("de thema’s of doelen veranderen", "the themes or goals change")
        case f.ProgrammeRulesChanged(changed=changed):
            fields = ", ".join(changed)
            return _Words(f"de regels voor aanmelden veranderen ({fields})", f"the enrolment rules change ({fields})")
        case f.ProgrammeCapacityRaised(before=before, after=after):
            to_nl, to_en = (
                (f"naar {after}", f"to {after}") if after is not None else ("zonder grens", "without a limit")
            )
            return _Words(f"de capaciteit gaat van {before} {to_nl}", f"the capacity goes from {before} {to_en}")
        case f.ProgrammeCapacityLowered(before=before, after=after):
            from_nl, from_en = (str(before), str(before)) if before is not None else ("geen grens", "no limit")
            return _Words(
                f"de capaciteit gaat van {from_nl} naar {after}", f"the capacity goes from {from_en} to {after}"
            )
        case f.ProgrammeTeamRuleChanged():
            return _Words(
                "de regels voor teams veranderen",
                "the team rule changes",
                "over bijeenkomsten die in hun agenda komen of eruit gaan",
                "of sessions that come into their calendar or leave it",
            )
        case f.ProgrammeClosed():
            return _Words(
                "het programma is voorbij, en niemand hoort ervan", "the programme is over, and nobody is told"
            )
        case f.ProgrammeWithdrawn():
            return _Words("het programma gaat niet door", "the programme is cancelled", "daarover", "of that")
        case f.EnrolmentPromoted():
            return _Words("", "", "dat er een plek voor hen is", "that there is a place for them")
        case f.EnrolmentIncomplete():
            return _Words("", "", "over wie er nog nodig is", "of who is still needed")
        case _:
            return _Words(NAMES[type(fact)], NAMES[type(fact)], "daarover", "of that")


def _of_session(fact: RegistrationFact, session: Session, state: ProgrammeState, now: datetime) -> _Words:
    nl, en = named(session)
    off = "dat die niet doorgaat", "that it is off"
    match fact:
        case f.SessionCancelled():
            return _Words(f"{nl} vervalt", f"{en} is cancelled", *off)
        case f.SessionDescribed():
            return _Words(f"de tekst over {nl} verandert", f"the words about {en} change")
        case f.SessionAdded() if any(one.id == session.id for one in state.cancelled):
            return _Words(f"{nl} gaat toch door", f"{en} goes ahead after all", "daarover", "of that")
        case f.SessionAdded():
            return _Words(f"{nl} komt erbij", f"{en} is added", "met de uitnodiging", "the invitation")
        case f.SessionMoved(before=before, after=after):
            return (
                _moved(session, before, after, now)
                if not after.is_over(now)
                else _Words(f"{nl} gaat naar een datum in het verleden", f"{en} moves to a date in the past", *off)
            )
        case _:
            return _Words(nl, en)


def _moved(session: Session, before: Occasion, after: Occasion, now: datetime) -> _Words:
    old_nl, old_en = named(session)
    new_nl, new_en = named(session.moved(after))
    if after.begins is None:
        if before.begins is None:
            return _Words(f"wat er over {old_nl} bekend is, verandert", f"what is known of {old_en} changes")
        return _Words(
            f"{old_nl} is uitgesteld", f"{old_en} is postponed", "dat die is uitgesteld", "that it is postponed"
        )
    if before.begins is None or before.is_over(now):
        return _Words(f"{new_nl} krijgt een datum", f"{new_en} gets a date", "met de uitnodiging", "the invitation")
    if (before.begins, before.finishes) == (after.begins, after.finishes):
        return _Words(
            f"{new_nl} krijgt een andere locatie of link", f"{new_en} gets another place or link", "daarover", "of that"
        )
    return _Words(f"{old_nl} wordt {new_nl}", f"{old_en} becomes {new_en}", "over de nieuwe tijd", "the new time")

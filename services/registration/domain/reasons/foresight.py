"""What whoever changes a programme should know before, or beside, what comes true: questions and notes."""

from __future__ import annotations

from collections.abc import Sequence

from contracts import dates
from contracts.enrolment import Reason
from contracts.session import Occasion, Session
from services.registration.domain.reasons.words import counted, in_both

_SAME_NL = {"title": "titel", "time": "tijd"}


def told_off(session: Session, people: int) -> Reason:
    """A session that people have is gone from the definition."""
    nl, en = _told_off(people)
    name_nl, name_en = named(session)
    return Reason(
        rule="session-off",
        nl=f"{name_nl} staat niet meer in de definitie: {nl}.",
        en=f"{name_en} is no longer in the definition: {en}.",
    )


def renamed(session: Session, other: Session, same: Sequence[str], people: int) -> Reason:
    """A session that people have is gone, and another one looks like it: perhaps its id was mistyped."""
    nl, en = _told_off(people)
    return Reason(
        rule="session-renamed",
        nl=f"Bijeenkomst ‘{session.title.nl}’ ({session.id}) ontbreekt, en {other.id} heeft dezelfde "
        f"{' en '.join(_SAME_NL[each] for each in same)}. "
        f"Is dat dezelfde bijeenkomst? Geef die dan het id {session.id}. "
        f"Zo niet: {nl}, en voor {other.id} krijgen zij een nieuwe uitnodiging.",
        en=f"Session ‘{session.title.en}’ ({session.id}) is missing, and {other.id} has the same {' and '.join(same)}. "
        f"Did you mean the same session? Then give it the id {session.id}. "
        f"If not: {en}, and they are invited anew to {other.id}.",
    )


def told_off_by_date(session: Session, people: int) -> Reason:
    """A session that people have is moved to a date that has passed."""
    nl, en = _told_off(people)
    name_nl, name_en = named(session)
    return Reason(
        rule="session-in-the-past",
        nl=f"{name_nl} ligt met de nieuwe datum in het verleden: {nl}.",
        en=f"{name_en} lies in the past by its new date: {en}.",
    )


def in_the_past(sessions: Sequence[Session]) -> Reason:
    """Sessions that are over before anybody could be invited."""
    names = [named(session) for session in sessions[:_NAMED]]
    more = len(sessions) - len(names)
    rest_nl, rest_en = (f" en nog {more}", f" and {more} more") if more else ("", "")
    one = len(sessions) == 1
    return Reason(
        rule="session-in-the-past",
        nl=f"{'Deze bijeenkomst ligt' if one else 'Deze bijeenkomsten liggen'} in het verleden: "
        f"{', '.join(nl for nl, _ in names)}{rest_nl}. Niemand wordt ervoor uitgenodigd.",
        en=f"{'This session lies' if one else 'These sessions lie'} in the past: "
        f"{', '.join(en for _, en in names)}{rest_en}. Nobody is invited to {'it' if one else 'them'}.",
    )


_NAMED = 10


def teams_lack(seat: tuple[str, str], teams: int) -> Reason:
    """Teams that enrolled before a rule asks more."""
    nl, en = (
        counted(teams, "aangemeld team mist", "aangemelde teams missen"),
        counted(teams, "team lacks", "teams lack"),
    )
    stay_nl, stay_en = _stays(teams)
    return Reason(
        rule="teams-lack",
        nl=f"{nl} {seat[0]} volgens de nieuwe regel. {stay_nl} Er gaat geen termijn in.",
        en=f"{en} {seat[1]} by the new rule. {stay_en} No deadline starts.",
    )


def deadlines_stay(teams: int) -> Reason:
    """Another number of days in which teams have to be complete."""
    nl = counted(teams, "team dat nog niet compleet is, houdt", "teams die nog niet compleet zijn, houden")
    en = counted(teams, "team that is not complete yet keeps", "teams that are not complete yet keep")
    return Reason(
        rule="deadlines-stay",
        nl=f"{nl} de termijn die is toegezegd.",
        en=f"{en} the deadline that was promised.",
    )


def seat_closed(seat: tuple[str, str], people: int) -> Reason:
    """A seat that is left out while people sit in it."""
    stay_nl, stay_en = _stays(people)
    return Reason(
        rule="seat-closed",
        nl=f"{counted(people, 'persoon zit', 'personen zitten')} op {seat[0]}, die niet meer in de definitie staat. "
        f"{stay_nl} Anderen kunnen er niet meer bij.",
        en=f"{counted(people, 'person sits', 'people sit')} in {seat[1]}, which is no longer in the definition. "
        f"{stay_en} Nobody else can take it.",
    )


def seat_no_longer_theirs(seat: tuple[str, str], people: int) -> Reason:
    """People in a seat that takes their role no longer, or so many of them."""
    stay_nl, stay_en = _stays(people)
    return Reason(
        rule="seat-narrowed",
        nl=f"{counted(people, 'persoon past', 'personen passen')} volgens de nieuwe regel niet op {seat[0]}. {stay_nl}",
        en=f"{counted(people, 'person does', 'people do')} not fit {seat[1]} by the new rule. {stay_en}",
    )


def not_eligible_any_more(enrolments: int) -> Reason:
    """Enrolments that would be refused by the new rules about who may come."""
    stay_nl, stay_en = _stays(enrolments)
    return Reason(
        rule="no-longer-eligible",
        nl=f"{counted(enrolments, 'aanmelding zou', 'aanmeldingen zouden')} volgens de nieuwe regels geweigerd worden. "
        f"{stay_nl}",
        en=f"{counted(enrolments, 'enrolment', 'enrolments')} would be refused by the new rules. {stay_en}",
    )


def above_maximum(maximum: int, organisations: int) -> Reason:
    """Organisations that have more than they now may."""
    stay_nl, stay_en = _stays(organisations)
    return Reason(
        rule="above-maximum",
        nl=f"{counted(organisations, 'organisatie heeft', 'organisaties hebben')} meer dan het nieuwe maximum van "
        f"{maximum}. {stay_nl}",
        en=f"{counted(organisations, 'organisation has', 'organisations have')} more than the new maximum of "
        f"{maximum}. {stay_en}",
    )


def still_waiting(enrolments: int) -> Reason:
    """Who waits in a programme that is closed."""
    return Reason(
        rule="still-waiting",
        nl=f"{counted(enrolments, 'aanmelding staat', 'aanmeldingen staan')} nog op de wachtlijst. "
        "Niemand krijgt hierover mail; laat het hun zelf weten.",
        en=f"{counted(enrolments, 'enrolment is', 'enrolments are')} still on the waiting list. "
        "Nobody is mailed of this; tell them yourself.",
    )


def _stays(count: int) -> tuple[str, str]:
    if count == 1:
        return "De plek blijft behouden.", "The place is kept."
    return "De plekken blijven behouden.", "The places are kept."


def _told_off(people: int) -> tuple[str, str]:
    return (
        f"{counted(people, 'persoon hoort', 'personen horen')} per mail dat die niet doorgaat",
        f"{counted(people, 'person', 'people')} will be told that it is off",
    )


def named(session: Session) -> tuple[str, str]:
    """A session by title, id and date, in Dutch and in English."""
    when_nl, when_en = _when(session)
    return f"‘{session.title.nl}’ ({session.id}){when_nl}", f"‘{session.title.en}’ ({session.id}){when_en}"


def _when(occasion: Occasion) -> tuple[str, str]:
    if occasion.begins is None:
        return " zonder datum", " without a date"
    nl, en = in_both(dates.beginning, occasion.begins)
    return f" op {nl}", f" on {en}"

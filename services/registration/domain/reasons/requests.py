"""Why a request for a place is refused: who may come, when, and how many."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from contracts import dates
from contracts.enrolment import Reason
from services.registration.domain.reasons.words import KIND_NAMES, either, in_both, places, province_name


def programme_withdrawn() -> Reason:
    """The programme does not take place."""
    return Reason(rule="programme-withdrawn", nl="Het programma gaat niet door.", en="The programme is cancelled.")


def not_open_yet(opens: date) -> Reason:
    """Too early."""
    nl, en = in_both(dates.beginning, opens)
    return Reason(rule="not-open-yet", nl=f"Aanmelden kan vanaf {nl}.", en=f"Enrolment opens on {en}.")


def closed(closes: date) -> Reason:
    """Too late."""
    nl, en = in_both(dates.until, closes)
    return Reason(rule="closed", nl=f"Aanmelden kon {nl}.", en=f"Enrolment was open {en}.")


def over(end: datetime) -> Reason:
    """The last session has ended."""
    nl, en = in_both(dates.ending, end)
    return Reason(
        rule="over",
        nl=f"Het programma is voorbij; het eindigde op {nl}.",
        en=f"The programme is over; it ended on {en}.",
    )


def organisation_unknown(id_: str) -> Reason:
    """The registry has no such organisation."""
    return Reason(
        rule="organisation-unknown",
        nl=f"De organisatie '{id_}' staat niet in het register. Controleer het id of laat de organisatie toevoegen.",
        en=f"The organisation '{id_}' is not in the registry. Check the id, or have the organisation added.",
    )


def organisation_required() -> Reason:
    """Nobody may come without an organisation."""
    return Reason(
        rule="organisation-required",
        nl="Voor dit programma meld je je aan vanuit een organisatie.",
        en="Enrolment in this programme needs an organisation.",
    )


def kind_not_eligible(kinds: Iterable[str]) -> Reason:
    """The organisation is of a kind that the programme is not for."""
    names = [KIND_NAMES[str(kind)] for kind in kinds]
    return Reason(
        rule="kind-not-eligible",
        nl=f"Dit programma is bedoeld voor {either((nl for nl, _ in names), 'nl')}.",
        en=f"This programme is for {either((en for _, en in names), 'en_GB')}.",
    )


def province_not_eligible(provinces: Iterable[str]) -> Reason:
    """The organisation is in a province that the programme is not for."""
    names = [province_name(province) for province in provinces]
    return Reason(
        rule="province-not-eligible",
        nl=f"Dit programma is bedoeld voor organisaties in {either(names, 'nl')}.",
        en=f"This programme is for organisations in {either(names, 'en_GB')}.",
    )


def role_not_eligible(role: str | None, roles: Iterable[str]) -> Reason:
    """A participant's role is not one that the programme is for."""
    allowed = list(roles)
    had_nl = f"'{role}' hoort daar niet bij" if role else "er is geen rol opgegeven"
    had_en = f"'{role}' is not one of them" if role else "no role was given"
    return Reason(
        rule="role-not-eligible",
        nl=f"Dit programma is bedoeld voor de rol {either(allowed, 'nl')}; {had_nl}.",
        en=f"This programme is for the role {either(allowed, 'en_GB')}; {had_en}.",
    )


def already_enrolled() -> Reason:
    """Somebody in the request takes part already."""
    return Reason(
        rule="already-enrolled",
        nl="Een van de deelnemers is al aangemeld voor dit programma (dezelfde naam en hetzelfde e-mailadres).",
        en="One of the participants is enrolled in this programme already (the same name and e-mail address).",
    )


def named_twice() -> Reason:
    """Somebody stands in the request twice."""
    return Reason(
        rule="named-twice",
        nl="Dezelfde persoon staat twee keer in de aanmelding (dezelfde naam en hetzelfde e-mailadres).",
        en="The same person stands in the request twice (the same name and e-mail address).",
    )


def organisation_maximum(maximum: int, taken: int) -> Reason:
    """The organisation would have more units than it may."""
    nl, en = places(maximum)
    has_nl, has_en = ("is", "is") if taken == 1 else ("zijn", "are")
    return Reason(
        rule="organisation-maximum",
        nl=f"Per organisatie is er ruimte voor {nl}; daarvan {has_nl} er al {taken} in gebruik.",
        en=f"Each organisation may take {en}; {taken} of them {has_en} taken already.",
    )


def request_maximum(maximum: int) -> Reason:
    """A request without an organisation has more units than an organisation may have."""
    nl, en = places(maximum)
    return Reason(
        rule="request-maximum",
        nl=f"Een aanmelding zonder organisatie is voor maximaal {nl}.",
        en=f"A request without an organisation may take {en} at most.",
    )


def full(capacity: int) -> Reason:
    """No unit is free, and nobody can wait."""
    nl, en = places(capacity)
    return Reason(
        rule="full",
        nl=f"Het programma is vol ({nl}) en heeft geen wachtlijst.",
        en=f"The programme is full ({en}) and has no waiting list.",
    )


def full_for_now(until: datetime) -> Reason:
    """Units may come free: they are held for people who have yet to confirm."""
    nl, en = in_both(dates.ending, until)
    return Reason(
        rule="full-for-now",
        nl=f"Alle plekken zijn nu bezet of gereserveerd. Misschien komt er een vrij. Probeer het na {nl} nog eens.",
        en=f"All places are taken or reserved at the moment. One may come free. Try again after {en}.",
    )


def crowd(most: int) -> Reason:
    """More people than anybody may name without an account."""
    return Reason(
        rule="too-many-people",
        nl=f"Je kunt hier maximaal {most} mensen tegelijk aanmelden. Meld de anderen daarna apart aan.",
        en=f"You can enrol at most {most} people at once here. Send the others in another request.",
    )


def nobody_awaited() -> Reason:
    """Nobody in the enrolment has anything to confirm."""
    return Reason(
        rule="nobody-awaited",
        nl="In deze aanmelding is er niets meer om te bevestigen.",
        en="There is nothing left to confirm in this enrolment.",
    )


def confirmed_too_late(until: datetime) -> Reason:
    """The time in which somebody could confirm is up."""
    nl, en = in_both(dates.until, until)
    return Reason(
        rule="confirmed-too-late",
        nl=f"Bevestigen kon {nl}. Meld je opnieuw aan als je nog mee wilt doen.",
        en=f"This could be confirmed {en}. Enrol again if you still want to take part.",
    )


def reserved() -> Reason:
    """Units are free, but those who wait come first and the waiting list takes nobody any more."""
    return Reason(
        rule="full",
        nl="De vrije plekken zijn voor wie al op de wachtlijst staat; de wachtlijst is gesloten.",
        en="The free places are for those who are waiting already; the waiting list is closed.",
    )


def larger_than_capacity(units: int, capacity: int) -> Reason:
    """The group could not fit even into the empty programme."""
    _, en = places(capacity)
    return Reason(
        rule="larger-than-capacity",
        nl=f"De aanmelding telt {units} plekken; het programma heeft er in totaal {capacity}.",
        en=f"The request takes {units} places; the programme has {en} in all.",
    )

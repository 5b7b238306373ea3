"""Why a request for a place is refused: who may come, when, and how many."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from contracts import dates
from contracts.base import Title
from contracts.enrolment import Reason
from contracts.parameters import parameters
from contracts.programme import Role
from services.registration.domain.reasons.teams import role_given
from services.registration.domain.reasons.words import either, in_both, kind_title, listed, places, province_name


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
    return Reason(
        rule="closed",
        nl=f"De aanmelding is gesloten. Aanmelden kon {nl}.",
        en=f"Enrolment is closed. It was open {en}.",
    )


def over(end: datetime) -> Reason:
    """The last session has ended."""
    nl, en = in_both(dates.ending, end)
    return Reason(
        rule="over",
        nl=f"Het programma is voorbij. Het eindigde op {nl}.",
        en=f"The programme is over. It ended on {en}.",
    )


def organisation_unknown(id_: str) -> Reason:
    """The registry has no such organisation."""
    return Reason(
        rule="organisation-unknown",
        nl="We kennen je organisatie nog niet. Neem contact met ons op, dan voegen we haar toe.",
        en="We do not know your organisation yet. Please contact us, and we will add it.",
        parameters=parameters(organisation=id_),
    )


def organisation_required() -> Reason:
    """Nobody may come without an organisation."""
    return Reason(
        rule="organisation-required",
        nl="Aanmelden kan hier alleen vanuit een organisatie.",
        en="You can enrol here only from an organisation.",
    )


def kind_not_eligible(kinds: Iterable[str]) -> Reason:
    """The organisation is of a kind that the programme is not for."""
    nl, en = listed(kind_title(str(kind)) for kind in kinds)
    return Reason(
        rule="kind-not-eligible",
        nl=f"Dit programma is bedoeld voor {nl}.",
        en=f"This programme is for {en}.",
    )


def province_not_eligible(provinces: Iterable[str]) -> Reason:
    """The organisation is in a province that the programme is not for."""
    nl, en = either(Title(nl=name, en=name) for name in map(province_name, provinces))
    return Reason(
        rule="province-not-eligible",
        nl=f"Dit programma is bedoeld voor organisaties in {nl}.",
        en=f"This programme is for organisations in {en}.",
    )


def role_not_eligible(role: Role | None, roles: Iterable[Role]) -> Reason:
    """A participant's role is not one that the programme is for."""
    allowed = tuple(roles)
    had_nl, had_en = role_given(role)
    plurals = [each.plural for each in allowed if each.plural is not None]
    if len(plurals) == len(allowed):
        nl, en = listed(plurals)
    else:
        nl, en = either(each.title for each in allowed)
        nl, en = f"mensen met de rol {nl}", f"people with the role {en}"
    return Reason(
        rule="role-not-eligible",
        nl=f"Dit programma is bedoeld voor {nl}. {had_nl}",
        en=f"This programme is for {en}. {had_en}",
        parameters=parameters(role=role.id if role else None),
    )


def already_enrolled(people: int) -> Reason:
    """Somebody takes part already, of so many people whom the request names."""
    if people == 1:
        return Reason(
            rule="already-enrolled",
            nl="Je was al aangemeld. Je eerdere aanmelding blijft gewoon staan.",
            en="You were already enrolled. Your earlier enrolment stands.",
        )
    return Reason(
        rule="already-enrolled",
        nl="Een van jullie was al aangemeld, met dezelfde naam en hetzelfde e-mailadres. Meld de anderen apart aan.",
        en="One of you was already enrolled, with the same name and email address. Enrol the others separately.",
    )


def named_twice() -> Reason:
    """Somebody stands in the request twice."""
    return Reason(
        rule="named-twice",
        nl="Dezelfde persoon is twee keer opgegeven (dezelfde naam en hetzelfde e-mailadres).",
        en="The same person is named twice (the same name and email address).",
    )


def organisation_maximum(maximum: int, taken: int, asked: int) -> Reason:
    """The organisation would have more units than it may."""
    nl, en = places(maximum)
    are_nl, are_en = ("is", "is") if maximum == 1 else ("zijn", "are")
    if not taken:
        stand_nl, stand_en = f"Jullie vroegen er {asked}.", f"You asked for {asked}."
    elif taken >= maximum:
        stand_nl = "Die is al bezet." if maximum == 1 else "Die zijn al bezet."
        stand_en = "It is taken already." if maximum == 1 else "They are taken already."
    else:
        stand_nl = f"Jullie hebben er al {taken} en vroegen er nu {asked}."
        stand_en = f"You have {taken} already and asked for {asked} now."
    return Reason(
        rule="organisation-maximum",
        nl=f"Per organisatie {are_nl} er {nl}. {stand_nl}",
        en=f"There {are_en} {en} for each organisation. {stand_en}",
    )


def request_maximum(maximum: int, asked: int) -> Reason:
    """A request without an organisation has more units than an organisation may have."""
    nl, en = places(maximum)
    are_nl, are_en = ("is", "is") if maximum == 1 else ("zijn", "are")
    return Reason(
        rule="request-maximum",
        nl=f"Voor wie geen organisatie opgeeft, {are_nl} er {nl}. Jullie vroegen er {asked}.",
        en=f"There {are_en} {en} for those who name no organisation. You asked for {asked}.",
    )


def full(capacity: int) -> Reason:
    """No unit is free, and nobody can wait."""
    nl, en = places(capacity)
    return Reason(
        rule="full",
        nl=f"Het programma is vol ({nl}). Er is geen wachtlijst.",
        en=f"The programme is full ({en}). There is no waiting list.",
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
        en=f"You can enrol at most {most} people at once here. Enrol the others separately afterwards.",
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
        nl="De vrije plekken zijn voor wie al op de wachtlijst staat. De wachtlijst is gesloten.",
        en="The free places are for those who are waiting already. The waiting list is closed.",
    )


def larger_than_capacity(units: int, capacity: int) -> Reason:
    """The group could not fit even into the empty programme."""
    nl, en = places(units)
    return Reason(
        rule="larger-than-capacity",
        nl=f"De aanmelding is voor {nl}. Het programma heeft er in totaal {capacity}.",
        en=f"The enrolment is for {en}. The programme has {capacity} in all.",
    )

"""Why somebody is promoted, passed over, or no longer there."""

from __future__ import annotations

from datetime import datetime

from contracts import dates
from contracts.enrolment import Reason
from contracts.facts import LapseCause
from services.registration.domain.reasons.words import in_both, places, still_free


def withdrawn_on_request() -> Reason:
    """The participants, or staff for them, gave the place back."""
    return Reason(rule="on-request", nl="Afgemeld op verzoek.", en="Withdrawn on request.")


def person_erased() -> Reason:
    """Nobody could tell the person anything any more."""
    return Reason(
        rule="person-erased",
        nl="De gegevens van de deelnemer zijn gewist. Daarom is de aanmelding afgemeld.",
        en="The participant’s data were erased. Therefore the enrolment was withdrawn.",
    )


def not_confirmed(cause: LapseCause) -> Reason:
    """Those whom a stranger named will not come, or not by that request."""
    if cause == "expired":
        return Reason(rule="not-confirmed", nl="Er is niet op tijd bevestigd.", en="It was not confirmed in time.")
    return Reason(
        rule="not-confirmed",
        nl="De aanmelding is afgemeld voordat die bevestigd was.",
        en="It was withdrawn before it had been confirmed.",
    )


def unit_free(place: int) -> Reason:
    """Promotion because somebody gave a unit back, or because who stood in the way no longer waits."""
    return Reason(
        rule="unit-free",
        nl=f"Er is een plek vrij. Deze aanmelding was nummer {place} op de wachtlijst en past.",
        en=f"A place came free. This enrolment was number {place} on the waiting list and fits.",
    )


def rules_changed(place: int) -> Reason:
    """Promotion because the waiting list's policy or freeze is another."""
    return Reason(
        rule="rules-changed",
        nl=f"De regels zijn gewijzigd. Deze aanmelding was nummer {place} op de wachtlijst en past nu.",
        en=f"The rules were changed. This enrolment was number {place} on the waiting list and fits now.",
    )


def capacity_raised(place: int) -> Reason:
    """Promotion because there are more units."""
    return Reason(
        rule="capacity-raised",
        nl=f"Er zijn meer plekken. Deze aanmelding was nummer {place} op de wachtlijst en past.",
        en=f"There are more places. This enrolment was number {place} on the waiting list and fits.",
    )


def promoted_by_staff(place: int) -> Reason:
    """Promotion by hand."""
    return Reason(
        rule="by-staff",
        nl=f"De organisatie van het programma heeft deze aanmelding (nummer {place}) een plek gegeven.",
        en=f"The programme’s organisers gave this enrolment (number {place}) a place.",
    )


def others_given_precedence() -> Reason:
    """Pass-over because staff promoted somebody further behind."""
    return Reason(
        rule="by-staff",
        nl="De organisatie van het programma heeft een aanmelding verderop in de wachtlijst voor laten gaan.",
        en="The programme’s organisers let an enrolment further down the waiting list go first.",
    )


def does_not_fit(units: int, free: int, *, passed: bool) -> Reason:
    """Pass-over because the group needs more units than are free."""
    nl, en = places(units)
    still_nl, still_en = still_free(free)
    after_nl = "Kleinere aanmeldingen gaan nu voor." if passed else "Niemand gaat voor: de plek blijft vrij."
    after_en = "Smaller enrolments go first for now." if passed else "Nobody goes first: the place stays free."
    return Reason(
        rule="does-not-fit",
        nl=f"Deze aanmelding heeft {nl} nodig. {still_nl} {after_nl}",
        en=f"This enrolment needs {en}. {still_en} {after_en}",
    )


def frozen(freeze: datetime) -> Reason:
    """Pass-over because the promotion freeze has begun."""
    nl, en = in_both(dates.beginning, freeze)
    return Reason(
        rule="frozen",
        nl=f"Sinds {nl} schuift niemand meer automatisch door.",
        en=f"Since {en} nobody is promoted automatically.",
    )

"""Why a change to an enrolment has no effect."""

from __future__ import annotations

from contracts.enrolment import Reason
from contracts.parameters import parameters
from services.registration.domain.reasons.words import places, still_free


def not_waiting() -> Reason:
    """Only who waits can be promoted."""
    return Reason(
        rule="not-waiting", nl="Deze aanmelding staat niet op de wachtlijst.", en="This enrolment is not waiting."
    )


def no_room(units: int, free: int) -> Reason:
    """Promotion by hand, or one more participant, would exceed the capacity."""
    nl, en = places(units)
    still_nl, still_en = still_free(free)
    return Reason(
        rule="full",
        nl=f"Er {'is' if units == 1 else 'zijn'} {nl} nodig. {still_nl}",
        en=f"This needs {en}. {still_en}",
    )


def others_wait() -> Reason:
    """One more participant would jump the waiting list."""
    return Reason(
        rule="others-wait",
        nl="Er staan anderen op de wachtlijst. Een extra deelnemer zou voorgaan. Meld die apart aan.",
        en="Others are waiting. One more participant would go before them. Enrol that person separately.",
    )


def no_such_enrolment() -> Reason:
    """The programme has no such enrolment."""
    return Reason(rule="not-found", nl="Deze aanmelding bestaat niet.", en="There is no such enrolment.")


def not_active() -> Reason:
    """The enrolment was withdrawn or refused."""
    return Reason(
        rule="not-active",
        nl="Deze aanmelding is afgemeld of geweigerd. Meld je opnieuw aan.",
        en="This enrolment was withdrawn or refused. Please enrol again.",
    )


def no_such_participant() -> Reason:
    """The person has no part in the enrolment."""
    return Reason(
        rule="not-found", nl="Deze persoon hoort niet bij de aanmelding.", en="This person is not in the enrolment."
    )


def no_such_programme(id_: str) -> Reason:
    """The programme has not been published."""
    return Reason(
        rule="programme-unknown",
        nl="Dit programma bestaat niet.",
        en="There is no such programme.",
        parameters=parameters(programme=id_),
    )

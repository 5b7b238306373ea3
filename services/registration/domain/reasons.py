"""
Why: the name of every rule, and its sentence in Dutch and in English.

The sentences go into the log, so they may speak of the programme and of numbers, never of persons.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from babel.dates import format_datetime
from babel.lists import format_list

from contracts.enrolment import Reason
from contracts.programme import AMSTERDAM


def _moment(time: datetime) -> tuple[str, str]:
    local = time.astimezone(AMSTERDAM)
    return (
        format_datetime(local, "d MMMM y 'om' HH:mm 'uur'", tzinfo=AMSTERDAM, locale="nl"),
        format_datetime(local, "d MMMM y 'at' HH:mm", tzinfo=AMSTERDAM, locale="en_GB"),
    )


def _either(words: Iterable[str], locale: str) -> str:
    return format_list([str(word) for word in words], style="or", locale=locale)


def _units(count: int) -> tuple[str, str]:
    return (
        f"{count} plaats" if count == 1 else f"{count} plaatsen",
        f"{count} place" if count == 1 else f"{count} places",
    )


KIND_NAMES = {
    "library": ("bibliotheken", "libraries"),
    "social-work-company": ("sociaal werkbedrijven", "social work companies"),
    "municipality": ("gemeenten", "municipalities"),
    "support-organisation": ("ondersteuningsorganisaties", "support organisations"),
    "other": ("andere organisaties", "other organisations"),
}


def province_name(province: str) -> str:
    """A province as people write it, which is the same in both languages."""
    return "Fryslân" if province == "fryslan" else str(province).title()


def programme_withdrawn() -> Reason:
    """The programme does not take place."""
    return Reason(rule="programme-withdrawn", nl="Het programma gaat niet door.", en="The programme is cancelled.")


def not_open_yet(opens: datetime) -> Reason:
    """Too early."""
    nl, en = _moment(opens)
    return Reason(rule="not-open-yet", nl=f"Aanmelden kan vanaf {nl}.", en=f"Enrolment opens on {en}.")


def closed(closes: datetime) -> Reason:
    """Too late."""
    nl, en = _moment(closes)
    return Reason(rule="closed", nl=f"Aanmelden kon tot {nl}.", en=f"Enrolment closed on {en}.")


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
        nl=f"Dit programma is bedoeld voor {_either((nl for nl, _ in names), 'nl')}.",
        en=f"This programme is for {_either((en for _, en in names), 'en_GB')}.",
    )


def province_not_eligible(provinces: Iterable[str]) -> Reason:
    """The organisation is in a province that the programme is not for."""
    names = [province_name(province) for province in provinces]
    return Reason(
        rule="province-not-eligible",
        nl=f"Dit programma is bedoeld voor organisaties in {_either(names, 'nl')}.",
        en=f"This programme is for organisations in {_either(names, 'en_GB')}.",
    )


def role_not_eligible(role: str | None, roles: Iterable[str]) -> Reason:
    """A participant's role is not one that the programme is for."""
    allowed = list(roles)
    had_nl = f"'{role}' hoort daar niet bij" if role else "er is geen rol opgegeven"
    had_en = f"'{role}' is not one of them" if role else "no role was given"
    return Reason(
        rule="role-not-eligible",
        nl=f"Dit programma is bedoeld voor de rol {_either(allowed, 'nl')}; {had_nl}.",
        en=f"This programme is for the role {_either(allowed, 'en_GB')}; {had_en}.",
    )


def already_enrolled() -> Reason:
    """Somebody in the request takes part already."""
    return Reason(
        rule="already-enrolled",
        nl="Een van de deelnemers is al aangemeld voor dit programma (hetzelfde e-mailadres).",
        en="One of the participants is enrolled in this programme already (the same e-mail address).",
    )


def named_twice() -> Reason:
    """Somebody stands in the request twice."""
    return Reason(
        rule="named-twice",
        nl="Dezelfde persoon staat twee keer in de aanmelding (hetzelfde e-mailadres).",
        en="The same person stands in the request twice (the same e-mail address).",
    )


def organisation_maximum(maximum: int, taken: int) -> Reason:
    """The organisation would have more units than it may."""
    nl, en = _units(maximum)
    has_nl, has_en = ("is", "is") if taken == 1 else ("zijn", "are")
    return Reason(
        rule="organisation-maximum",
        nl=f"Per organisatie is er ruimte voor {nl}; daarvan {has_nl} er al {taken} in gebruik.",
        en=f"Each organisation may take {en}; {taken} of them {has_en} taken already.",
    )


def full(capacity: int) -> Reason:
    """No unit is free, and nobody can wait."""
    nl, en = _units(capacity)
    return Reason(
        rule="full",
        nl=f"Het programma is vol ({nl}) en heeft geen wachtlijst.",
        en=f"The programme is full ({en}) and has no waiting list.",
    )


def larger_than_capacity(units: int, capacity: int) -> Reason:
    """The group could not fit even into the empty programme."""
    _, en = _units(capacity)
    return Reason(
        rule="larger-than-capacity",
        nl=f"De aanmelding telt {units} plaatsen; het programma heeft er in totaal {capacity}.",
        en=f"The request takes {units} places; the programme has {en} in all.",
    )


def seat_required(seats: Iterable[str]) -> Reason:
    """A participant of a team has no seat."""
    allowed = list(seats)
    return Reason(
        rule="seat-required",
        nl=f"Geef voor elke deelnemer een plek in het team op: {_either(allowed, 'nl')}.",
        en=f"Give each participant a seat in the team: {_either(allowed, 'en_GB')}.",
    )


def seat_unknown(seat: str, seats: Iterable[str]) -> Reason:
    """The team has no such seat, or the programme has no teams."""
    allowed = list(seats)
    if not allowed:
        return Reason(
            rule="seat-unknown",
            nl=f"Dit programma kent geen teams; laat de plek '{seat}' weg.",
            en=f"This programme has no teams; leave out the seat '{seat}'.",
        )
    return Reason(
        rule="seat-unknown",
        nl=f"De plek '{seat}' bestaat niet in het team; kies {_either(allowed, 'nl')}.",
        en=f"The team has no seat '{seat}'; choose {_either(allowed, 'en_GB')}.",
    )


def seat_role(seat: str, role: str | None, roles: Iterable[str]) -> Reason:
    """A participant's role does not go with the seat."""
    allowed = list(roles)
    had_nl = f"niet voor '{role}'" if role else "en er is geen rol opgegeven"
    had_en = f"not '{role}'" if role else "and no role was given"
    return Reason(
        rule="seat-role",
        nl=f"De plek '{seat}' is voor de rol {_either(allowed, 'nl')}, {had_nl}.",
        en=f"The seat '{seat}' is for the role {_either(allowed, 'en_GB')}, {had_en}.",
    )


def seat_taken(seat: str, count: int) -> Reason:
    """More people in a seat than it has room for."""
    nl, en = ("1 deelnemer", "1 participant") if count == 1 else (f"{count} deelnemers", f"{count} participants")
    return Reason(
        rule="seat-taken",
        nl=f"Op de plek '{seat}' is ruimte voor {nl} per team.",
        en=f"The seat '{seat}' has room for {en} a team.",
    )


def team_incomplete(seats: Iterable[str]) -> Reason:
    """The team lacks somebody, and the programme takes complete teams only."""
    missing = sorted(seats)
    return Reason(
        rule="team-incomplete",
        nl=f"Het team is niet compleet; er ontbreekt: {', '.join(missing)}.",
        en=f"The team is not complete; missing: {', '.join(missing)}.",
    )


def deadline_passed(time: datetime) -> Reason:
    """The team stayed incomplete until its deadline."""
    nl, en = _moment(time)
    return Reason(
        rule="team-incomplete",
        nl=f"Het team was op {nl} nog niet compleet.",
        en=f"The team was still not complete on {en}.",
    )


def withdrawn_on_request() -> Reason:
    """The participants, or staff for them, gave the place back."""
    return Reason(rule="on-request", nl="De deelname is op verzoek ingetrokken.", en="It was withdrawn on request.")


def unit_free(place: int) -> Reason:
    """Promotion because somebody gave a unit back, or because who stood in the way no longer waits."""
    return Reason(
        rule="unit-free",
        nl=f"Er is een plaats vrij; deze aanmelding was nummer {place} op de wachtlijst en past.",
        en=f"A place is free; this request was number {place} on the waiting list and fits.",
    )


def rules_changed(place: int) -> Reason:
    """Promotion because the waiting list's policy or freeze is another."""
    return Reason(
        rule="rules-changed",
        nl=f"De regels zijn gewijzigd; deze aanmelding was nummer {place} op de wachtlijst en past nu.",
        en=f"The rules were changed; this request was number {place} on the waiting list and fits now.",
    )


def capacity_raised(place: int) -> Reason:
    """Promotion because there are more units."""
    return Reason(
        rule="capacity-raised",
        nl=f"Er zijn meer plaatsen; deze aanmelding was nummer {place} op de wachtlijst en past.",
        en=f"There are more places; this request was number {place} on the waiting list and fits.",
    )


def promoted_by_staff(place: int) -> Reason:
    """Promotion by hand."""
    return Reason(
        rule="by-staff",
        nl=f"De organisatie van het programma heeft deze aanmelding (nummer {place}) een plaats gegeven.",
        en=f"The programme's organisers gave this request (number {place}) a place.",
    )


def others_given_precedence() -> Reason:
    """Pass-over because staff promoted somebody further behind."""
    return Reason(
        rule="by-staff",
        nl="De organisatie van het programma heeft een aanmelding verderop in de wachtlijst voor laten gaan.",
        en="The programme's organisers let a request further down the waiting list go first.",
    )


def does_not_fit(units: int, free: int, *, passed: bool) -> Reason:
    """Pass-over because the group needs more units than are free."""
    nl, en = _units(units)
    after_nl = "kleinere aanmeldingen gaan nu voor" if passed else "niemand gaat voor, de plaats blijft vrij"
    after_en = "smaller requests go first for now" if passed else "nobody goes first, the place stays free"
    return Reason(
        rule="does-not-fit",
        nl=f"Deze aanmelding heeft {nl} nodig en er is ruimte voor {free}; {after_nl}.",
        en=f"This request needs {en} and there is room for {free}; {after_en}.",
    )


def frozen(freeze: datetime) -> Reason:
    """Pass-over because the promotion freeze has begun."""
    nl, en = _moment(freeze)
    return Reason(
        rule="frozen",
        nl=f"Sinds {nl} schuift niemand meer automatisch door.",
        en=f"Since {en} nobody is promoted automatically.",
    )


def not_waiting() -> Reason:
    """Only who waits can be promoted."""
    return Reason(
        rule="not-waiting", nl="Deze aanmelding staat niet op de wachtlijst.", en="This enrolment is not waiting."
    )


def no_room(units: int, free: int) -> Reason:
    """Promotion by hand, or one more participant, would exceed the capacity."""
    nl, en = _units(units)
    return Reason(
        rule="full",
        nl=f"Hiervoor is {nl} nodig en er is ruimte voor {free}.",
        en=f"This needs {en} and there is room for {free}.",
    )


def reserved() -> Reason:
    """Units are free, but those who wait come first and the waiting list takes nobody any more."""
    return Reason(
        rule="full",
        nl="De vrije plaatsen zijn voor wie al op de wachtlijst staat; de wachtlijst is gesloten.",
        en="The free places are for those who are waiting already; the waiting list is closed.",
    )


def others_wait() -> Reason:
    """One more participant would jump the waiting list."""
    return Reason(
        rule="others-wait",
        nl="Er staan anderen op de wachtlijst; een extra deelnemer zou voorgaan. Meld die apart aan.",
        en="Others are waiting; one more participant would go before them. Enrol that person separately.",
    )


def no_such_enrolment() -> Reason:
    """The programme has no such enrolment."""
    return Reason(rule="not-found", nl="Deze aanmelding bestaat niet.", en="There is no such enrolment.")


def not_active() -> Reason:
    """The enrolment was withdrawn or refused."""
    return Reason(
        rule="not-active",
        nl="Deze aanmelding is ingetrokken of geweigerd; meld je opnieuw aan.",
        en="This enrolment was withdrawn or refused; enrol again.",
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
        nl=f"Het programma '{id_}' bestaat niet.",
        en=f"There is no programme '{id_}'.",
    )


def per_changed() -> Reason:
    """A programme can't turn from persons to teams."""
    return Reason(
        rule="per-changed",
        nl="Een programma kan niet wisselen tussen personen en teams; publiceer het onder een ander id.",
        en="A programme can't change between persons and teams; publish it under another id.",
    )


def capacity_below_confirmed(capacity: int, confirmed: int) -> Reason:
    """The capacity would be lower than what has been promised."""
    return Reason(
        rule="capacity-below-confirmed",
        nl=f"De capaciteit kan niet naar {capacity}: er zijn al {confirmed} plaatsen bevestigd. Trek er eerst in.",
        en=f"The capacity can't become {capacity}: {confirmed} places are confirmed. Withdraw some first.",
    )


def unknown_organiser(id_: str) -> Reason:
    """An organiser is not in the registry."""
    return Reason(
        rule="organisation-unknown",
        nl=f"De organisator '{id_}' staat niet in het register. Voeg hem eerst toe.",
        en=f"The organiser '{id_}' is not in the registry. Register it first.",
    )


def unknown_theme(id_: str) -> Reason:
    """A theme has not been published."""
    return Reason(
        rule="theme-unknown",
        nl=f"Het thema '{id_}' bestaat niet. Publiceer het eerst.",
        en=f"There is no theme '{id_}'. Publish it first.",
    )


def unknown_goal(theme: str, goal: str) -> Reason:
    """A theme has no such goal."""
    return Reason(
        rule="goal-unknown",
        nl=f"Het thema '{theme}' heeft geen doel '{goal}'.",
        en=f"The theme '{theme}' has no goal '{goal}'.",
    )

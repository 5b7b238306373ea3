"""What rules are called by which things are decided: two or three words for tables, where a reason has a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts.base import Title
from contracts.programme import readable

_TITLES: Final[Mapping[str, tuple[str, str]]] = {
    # Why a request is refused.
    "programme-withdrawn": ("gaat niet door", "programme cancelled"),
    "not-open-yet": ("te vroeg", "too early"),
    "closed": ("te laat", "too late"),
    "over": ("al voorbij", "over already"),
    "organisation-unknown": ("onbekende organisatie", "unknown organisation"),
    "organisation-required": ("zonder organisatie", "without an organisation"),
    "kind-not-eligible": ("andere soort organisatie", "other kind of organisation"),
    "province-not-eligible": ("andere provincie", "other province"),
    "role-not-eligible": ("andere rol", "other role"),
    "already-enrolled": ("al aangemeld", "already enrolled"),
    "named-twice": ("twee keer genoemd", "named twice"),
    "organisation-maximum": ("organisatie vol", "organisation full"),
    "request-maximum": ("te veel tegelijk", "too many at once"),
    "too-many-people": ("te veel tegelijk", "too many at once"),
    "full": ("vol", "full"),
    "full-for-now": ("nu vol", "full for now"),
    "larger-than-capacity": ("groter dan het programma", "larger than the programme"),
    "seat-required": ("zonder teamplek", "without a seat in the team"),
    "seat-unknown": ("onbekende teamplek", "unknown seat in the team"),
    "seat-role": ("rol past niet bij teamplek", "role does not fit the seat"),
    "seat-taken": ("teamplek bezet", "seat taken"),
    "team-incomplete": ("team niet compleet", "team incomplete"),
    "not-confirmed": ("niet bevestigd", "not confirmed"),
    "nobody-awaited": ("niets te bevestigen", "nothing to confirm"),
    "confirmed-too-late": ("te laat bevestigd", "confirmed too late"),
    # Why a change has no effect.
    "not-waiting": ("niet op de wachtlijst", "not on the waiting list"),
    "others-wait": ("anderen wachten", "others are waiting"),
    "not-found": ("niet gevonden", "not found"),
    "not-active": ("afgemeld of geweigerd", "withdrawn or refused"),
    "programme-unknown": ("onbekend programma", "unknown programme"),
    # Why somebody is withdrawn, moves up, or is passed over.
    "on-request": ("op verzoek", "on request"),
    "person-erased": ("gegevens gewist", "data erased"),
    "unit-free": ("plek vrijgekomen", "a place came free"),
    "rules-changed": ("regels gewijzigd", "rules changed"),
    "capacity-raised": ("meer plekken", "more places"),
    "by-staff": ("door de organisatie", "by staff"),
    "does-not-fit": ("past nu niet", "does not fit now"),
    "frozen": ("doorschuiven gestopt", "moving up has stopped"),
    # Why a programme cannot be published.
    "sessions-to-come": ("bijeenkomsten op komst", "sessions to come"),
    "programme-closed": ("programma afgesloten", "programme closed"),
    "per-changed": ("personen of teams", "persons or teams"),
    "capacity-below-confirmed": ("minder plekken dan vergeven", "fewer places than given"),
    "theme-unknown": ("onbekend thema", "unknown theme"),
    "goal-unknown": ("onbekend doel", "unknown goal"),
}


def rule_title(rule: str) -> Title:
    """What people read for a rule; for one of a later version, the words of its name."""
    words = _TITLES.get(rule)
    return Title(nl=words[0], en=words[1]) if words else readable(rule)

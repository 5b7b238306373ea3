"""Why a definition cannot be published."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.enrolment import Reason
from contracts.session import Session
from services.registration.domain.reasons.foresight import named


def per_changed() -> Reason:
    """A programme cannot turn from persons to teams."""
    return Reason(
        rule="per-changed",
        nl="Een programma kan niet wisselen tussen personen en teams. Publiceer het onder een ander id.",
        en="A programme cannot change between persons and teams. Publish it under another id.",
    )


def withdrawn_for_good() -> Reason:
    """A programme that was withdrawn does not come back: everybody has been told, and no agenda holds it any more."""
    return Reason(
        rule="programme-withdrawn",
        nl="Dit programma is afgelast, en dat is niet terug te draaien. Publiceer het als nieuw programma, onder een "
        "ander id. Wie aangemeld was, meldt zich opnieuw aan.",
        en="This programme was withdrawn, and that can't be undone. Publish it as a new programme, under another id. "
        "Those who were enrolled have to enrol again.",
    )


def closed_for_good() -> Reason:
    """A closed programme's sessions stay as they are: nobody would be told of a change."""
    return Reason(
        rule="programme-closed",
        nl="Dit programma is afgesloten; de bijeenkomsten kunnen niet meer veranderen. Publiceer een nieuw programma, "
        "onder een ander id.",
        en="This programme is closed, and its sessions can't change any more. Publish a new one, under another id.",
    )


def sessions_to_come(sessions: Sequence[Session]) -> Reason:
    """People expect sessions that have a date."""
    nl, en = named(sessions[0])
    return Reason(
        rule="sessions-to-come",
        nl=f"{nl} komt nog. Laat die eerst vervallen (publiceer de definitie zonder), of trek het programma in: dan "
        "hoort iedereen ervan.",
        en=f"{en} is still to come. Cancel it first (publish the definition without it), or withdraw the programme: "
        "then everybody is told.",
    )


def capacity_below_confirmed(capacity: int, confirmed: int) -> Reason:
    """The capacity would be lower than what has been promised."""
    return Reason(
        rule="capacity-below-confirmed",
        nl=f"De capaciteit kan niet naar {capacity}: er zijn al {confirmed} plekken bevestigd. Meld er eerst af.",
        en=f"The capacity cannot become {capacity}: {confirmed} places are confirmed. Withdraw some first.",
    )


def unknown_organiser(id_: str) -> Reason:
    """An organiser is not in the registry."""
    return Reason(
        rule="organisation-unknown",
        nl=f"De organisator ‘{id_}’ staat niet in het register. Voeg hem eerst toe.",
        en=f"The organiser ‘{id_}’ is not in the registry. Register it first.",
    )


def unknown_theme(id_: str) -> Reason:
    """A theme has not been published."""
    return Reason(
        rule="theme-unknown",
        nl=f"Het thema ‘{id_}’ bestaat niet. Publiceer het eerst.",
        en=f"There is no theme ‘{id_}’. Publish it first.",
    )


def unknown_goal(theme: str, goal: str) -> Reason:
    """A theme has no such goal."""
    return Reason(
        rule="goal-unknown",
        nl=f"Het thema ‘{theme}’ heeft geen doel ‘{goal}’.",
        en=f"The theme ‘{theme}’ has no goal ‘{goal}’.",
    )

"""Why a definition cannot be published."""

from __future__ import annotations

from contracts.enrolment import Reason


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

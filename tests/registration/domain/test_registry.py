"""The registry of organisations and themes."""

from __future__ import annotations

from contracts.base import Title
from contracts.facts import OrganisationChanged, OrganisationRegistered, PersonErased, ThemePublished
from contracts.organisation import Organisation
from contracts.theme import Theme
from services.registration.domain import Registry, decide_registry, evolve_registry
from tests.registration.domain.given import LIBRARY, MUNICIPALITY

THEME = Theme(id="taal", title=Title(nl="Taal", en="Language"))
RENAMED = LIBRARY.model_copy(update={"name": "Idea"})


def _after(registry: Registry, *entries: object) -> Registry:
    for fact in decide_registry(registry, entries):  # type: ignore[arg-type]
        registry = evolve_registry(registry, fact)
    return registry


def test_an_organisation_is_registered_then_changed_and_never_twice_the_same() -> None:
    empty = Registry()
    assert decide_registry(empty, [LIBRARY, MUNICIPALITY]) == (
        OrganisationRegistered(organisation=LIBRARY),
        OrganisationRegistered(organisation=MUNICIPALITY),
    )
    registry = _after(empty, LIBRARY)
    assert decide_registry(registry, [LIBRARY]) == ()
    assert decide_registry(registry, [RENAMED]) == (OrganisationChanged(organisation=RENAMED),)


def test_what_is_not_said_of_an_organisation_stays_and_what_is_null_is_cleared() -> None:
    registry = _after(Registry(), LIBRARY)
    least = {"id": LIBRARY.id, "name": LIBRARY.name, "kind": LIBRARY.kind}
    assert decide_registry(registry, [Organisation.model_validate(least)]) == ()
    cleared = Organisation.model_validate(least | {"province": None})
    (fact,) = decide_registry(registry, [cleared])
    assert fact == OrganisationChanged(organisation=LIBRARY.model_copy(update={"province": None}))


def test_the_same_organisation_twice_in_one_list_counts_in_order() -> None:
    assert decide_registry(Registry(), [LIBRARY, LIBRARY, RENAMED]) == (
        OrganisationRegistered(organisation=LIBRARY),
        OrganisationChanged(organisation=RENAMED),
    )


def test_a_theme_is_published_when_it_is_new_or_different() -> None:
    registry = _after(Registry(), THEME)
    assert registry.themes["taal"] == THEME
    assert decide_registry(registry, [THEME]) == ()
    other = THEME.model_copy(update={"organisers": ("probiblio",)})
    assert decide_registry(registry, [other]) == (ThemePublished(theme=other),)


def test_facts_about_persons_count_and_change_no_entry() -> None:
    registry = _after(Registry(), LIBRARY)
    after = evolve_registry(registry, PersonErased(person="x"))
    assert after.version == registry.version + 1
    assert after.organisations == registry.organisations

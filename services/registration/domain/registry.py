"""The registry of organisations and themes: what belongs to no programme and programmes refer to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from rpds import HashTrieMap

from contracts.base import Message
from contracts.facts import OrganisationChanged, OrganisationRegistered, RegistrationFact, ThemePublished
from contracts.organisation import Organisation
from contracts.theme import Theme


@dataclass(frozen=True, slots=True)
class Registry:
    """What is registered; ``version`` counts the facts that belong to no programme."""

    version: int = 0
    organisations: HashTrieMap[str, Organisation] = field(default_factory=HashTrieMap)
    themes: HashTrieMap[str, Theme] = field(default_factory=HashTrieMap)


def decide_registry(registry: Registry, entries: Iterable[Organisation | Theme]) -> tuple[RegistrationFact, ...]:
    """
    What comes true when these entries are put into the registry: nothing for those that stand there already.

    What is not said of an organisation stays as it is: who leaves a column out does not mean to clear it.
    """
    facts: list[RegistrationFact] = []
    for entry in entries:
        fact: RegistrationFact
        if isinstance(entry, Theme):
            if registry.themes.get(entry.id) == entry:
                continue
            fact = ThemePublished(theme=entry)
        elif (known := registry.organisations.get(entry.id)) is None:
            fact = OrganisationRegistered(organisation=entry)
        else:
            said = {field: getattr(entry, field) for field in entry.model_fields_set}
            changed = known.model_copy(update=said)
            if changed == known:
                continue
            fact = OrganisationChanged(organisation=changed)
        facts.append(fact)
        registry = evolve_registry(registry, fact)
    return tuple(facts)


def evolve_registry(registry: Registry, fact: Message) -> Registry:
    """How the registry stands after a fact."""
    version = registry.version + 1
    match fact:
        case OrganisationRegistered(organisation=entry) | OrganisationChanged(organisation=entry):
            return replace(registry, version=version, organisations=registry.organisations.insert(entry.id, entry))
        case ThemePublished(theme=theme):
            return replace(registry, version=version, themes=registry.themes.insert(theme.id, theme))
        case _:
            return replace(registry, version=version)

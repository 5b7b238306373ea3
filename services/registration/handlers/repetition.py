"""What makes a command that comes again the same command, also one that the release before this remembered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from services.registration.work import Key

NOT_SAID: Final = frozenset({"id", "confirmed", "dry_run"})
"""Fields of a command that say how it is sent, and not what is to be done."""
NEW_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "ChangeParticipant": frozenset({"diet", "name"}),
    "CorrectPerson": frozenset({"new_name"}),
    "EnrolmentRules": frozenset({"confirmation", "keep_people_days", "roles"}),
    "ErasePerson": frozenset({"everybody", "name"}),
    "ParticipantRequest": frozenset({"diet"}),
    "Seat": frozenset({"closed"}),
    "WithdrawParticipant": frozenset({"name"}),
}
"""By model, the fields that it had not in the release before this one (``tests/system/last_release.txt``)."""


def key_of(source: str, id: str, command: BaseModel, *kind: str) -> Key:
    """What makes a command of the staff or of a web form the same command."""
    return Key(source, id, digest(command, *kind), lambda: _digest_of_last_release(command, *kind))


def digest(command: BaseModel, *kind: str) -> bytes:
    """What a command says, without its id and whether it is a question: the same whatever the order of its fields."""
    # Without what is not said: a field that is added to a command later must not make a repetition another request.
    return _digest_of(kind, command.model_dump(mode="json", exclude=set(NOT_SAID), exclude_none=True))


def _digest_of_last_release(command: BaseModel, *kind: str) -> bytes:
    """As the release before this one made it: with what is not said, but for the fields that it had not."""
    return _digest_of(kind, _known(command, command.model_dump(mode="json", exclude=set(NOT_SAID))))


def _known(value: object, said: Any) -> Any:
    match value:
        case BaseModel():
            new = NEW_FIELDS.get(type(value).__name__, frozenset())
            return {
                name: _known(getattr(value, name), each)
                for name, each in said.items()
                if name not in new or getattr(value, name) != type(value).model_fields[name].get_default()
            }
        case tuple():
            return [_known(one, each) for one, each in zip(value, said, strict=True)]
        case _:
            return said


def _digest_of(kind: tuple[str, ...], said: object) -> bytes:
    return hashlib.sha256(json.dumps([kind, said], sort_keys=True).encode()).digest()

"""Requests that were remembered by the last release."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from contracts.commands import PublishProgramme
from contracts.enrolment import EnrolmentRequest
from contracts.schemas import FOLDER
from services.registration.handlers.repetition import NEW_FIELDS, NOT_SAID, key_of
from tests.system.last_release import COMMIT
from tests.workspace.members import ROOT

ANNA: dict[str, Any] = {
    "programme": "kick-off",
    "participants": [{"person": {"name": "Anna", "email": "anna@people.example"}}],
}


def remembered(kind: str, said: object) -> bytes:
    """As the last release wrote it down: everything it had a field for, said or not."""
    return hashlib.sha256(json.dumps([[kind], said], sort_keys=True).encode()).digest()


def by_the_last_release(**more: Any) -> bytes:
    person = {"name": "Anna", "email": "anna@people.example", "language": "nl"}
    participant = {"person": person, "seat": None, "role": None, **more}
    return remembered("request", {"programme": "kick-off", "organisation": None, "participants": [participant]})


def test_a_request_repeated_after_an_upgrade_is_the_same_request() -> None:
    asked = EnrolmentRequest.model_validate(ANNA)
    assert key_of("web", "1", asked, "request").fits(by_the_last_release())


def test_what_the_last_release_had_no_word_for_makes_another_request() -> None:
    (participant,) = ANNA["participants"]
    asked = EnrolmentRequest.model_validate(ANNA | {"participants": [participant | {"diet": "no nuts"}]})
    assert not key_of("web", "1", asked, "request").fits(by_the_last_release())


TITLE = {"nl": "Kernteam", "en": "Core team"}
CONTACT = {"name": "Team", "email": "team@people.example", "phone": None}
TRACK: dict[str, Any] = {
    "id": "year-track",
    "kind": "track",
    "title": TITLE,
    "description": TITLE,
    "organisers": ["spn"],
    "content_contact": CONTACT,
    "enrolment_contact": CONTACT,
    "themes": [],
    "page": None,
    "sessions": [],
    "enrolment": {
        "opens": "2026-09-08T09:00:00",
        "closes": None,
        "per": "team",
        "capacity": 10,
        "waiting_list": None,
        "maximum_per_organisation": None,
        "eligible": {"kinds": [], "provinces": [], "roles": ["manager"], "without_organisation": False},
        "prices": [],
    },
    "team": {
        "seats": [
            {"id": "manager", "title": TITLE, "roles": [], "count": 1, "sessions": None, "hours": None},
        ],
        "complete_within_days": 14,
    },
}


def test_a_programme_published_again_after_an_upgrade_under_the_same_id_is_the_same_command() -> None:
    command = PublishProgramme.model_validate({"programme": TRACK})
    assert key_of("staff", "1", command, "PublishProgramme").fits(remembered("PublishProgramme", {"programme": TRACK}))


def test_a_programme_with_what_the_last_release_had_no_word_for_is_another_command() -> None:
    rules = TRACK["enrolment"] | {"roles": [{"id": "manager", "title": TITLE}]}
    command = PublishProgramme.model_validate({"programme": TRACK | {"enrolment": rules}})
    assert not key_of("staff", "1", command, "PublishProgramme").fits(
        remembered("PublishProgramme", {"programme": TRACK})
    )


def test_every_field_that_commands_have_got_since_the_last_release_is_known_as_new() -> None:
    found: dict[str, set[str]] = {}
    for path in git("ls-tree", "--name-only", COMMIT, "contracts/schemas/").split():
        name = PurePosixPath(path).name
        if name.startswith("command."):
            before, now = fields(git("show", f"{COMMIT}:{path}")), fields((FOLDER / name).read_text(encoding="utf-8"))
            for model in before.keys() & now.keys():
                found.setdefault(model, set()).update(now[model] - before[model] - NOT_SAID)
    assert {model: new for model, new in found.items() if new} == NEW_FIELDS


def git(*command: str) -> str:
    done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    # A clone without history has not got it.
    assert done.returncode == 0, f"commit {COMMIT} of tests/system/last_release.txt: {done.stderr}"
    return done.stdout


def fields(schema: str) -> Mapping[str, set[str]]:
    """The fields of each model in a schema."""
    document: dict[str, Any] = json.loads(schema)
    models: Iterable[tuple[str, dict[str, Any]]] = [(document["title"], document), *document.get("$defs", {}).items()]
    return {name: set(model["properties"]) for name, model in models if "properties" in model}

"""Facts get in once, a whole batch or nothing of it."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.facts import Fact
from services.chassis.reader import Message
from services.chassis.state import State
from services.reporting import store
from services.reporting.domain import canonical
from services.reporting.projection import Projection, fold
from tests.plausible import grown, subject_and_body
from tests.reporting.conftest import Reporting

REGISTRATION, NOTIFICATIONS = store.STREAMS
LOGS = grown(random.Random(1).choice, 120)


def messages(facts: list[Fact]) -> list[Message]:
    return [Message(position, *subject_and_body(fact)) for position, fact in enumerate(facts, 1)]


def refuse_to_store(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON entities WHEN new.kind = 'enrolment'"
        " BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    )


def store_again(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TRIGGER full")


async def test_what_was_counted_is_there_after_a_restart(path: Path) -> None:
    projection = await Projection.open(path)
    await projection.apply(REGISTRATION, messages(LOGS.registration))
    await projection.apply(NOTIFICATIONS, messages(LOGS.notifications))
    await projection.close()

    again = await Projection.open(path)
    assert canonical(again.state) == canonical(projection.state)
    assert again.positions == {
        REGISTRATION: len(LOGS.registration),
        NOTIFICATIONS: len(LOGS.notifications),
    }
    await again.close()


@pytest.mark.parametrize("size", [1, 7, 50])
async def test_the_size_of_the_batches_changes_nothing(path: Path, size: int) -> None:
    log = messages(LOGS.registration)
    projection = await Projection.open(path)
    for start in range(0, len(log), size):
        await projection.apply(REGISTRATION, log[start : start + size])
    stored, _ = await projection.database.run(store.load)
    await projection.close()
    assert canonical(stored) == canonical(projection.state) == canonical(fold(State(), log))


async def test_of_a_batch_with_a_body_that_is_no_fact_nothing_is_counted(path: Path) -> None:
    log = messages(LOGS.registration)
    projection = await Projection.open(path)
    await projection.apply(REGISTRATION, log[:10])
    before = canonical(projection.state)

    with pytest.raises(ValidationError):
        await projection.apply(REGISTRATION, [*log[10:15], Message(16, "log", b"{}")])

    stored, positions = await projection.database.run(store.load)
    assert canonical(projection.state) == canonical(stored) == before
    assert positions[REGISTRATION] == projection.positions[REGISTRATION] == 10
    await projection.close()


async def test_of_a_batch_that_fails_while_it_is_stored_nothing_is_counted(path: Path) -> None:
    log = messages(LOGS.registration)
    projection = await Projection.open(path)
    await projection.database.run(refuse_to_store)

    with pytest.raises(sqlite3.IntegrityError, match="the disk is full"):
        await projection.apply(REGISTRATION, log)

    stored, positions = await projection.database.run(store.load)
    assert not stored.partitions()
    assert positions[REGISTRATION] == projection.positions[REGISTRATION] == 0
    assert not projection.state.partitions()

    await projection.database.run(store_again)
    await projection.apply(REGISTRATION, log)
    assert canonical(projection.state) == canonical(fold(State(), log))
    await projection.close()


async def test_what_was_counted_already_is_not_counted_again(path: Path) -> None:
    log = messages(LOGS.registration)
    projection = await Projection.open(path)
    await projection.apply(REGISTRATION, log[:60])
    await projection.apply(REGISTRATION, log[40:])
    await projection.apply(REGISTRATION, log[:10])
    assert canonical(projection.state) == canonical(fold(State(), log))
    assert projection.positions[REGISTRATION] == len(log)
    await projection.close()


async def test_a_reader_goes_on_by_itself_when_the_disk_has_room_again(reporting: Reporting) -> None:
    await reporting.projection.database.run(refuse_to_store)
    with pytest.raises(AssertionError):
        await reporting.publish(*LOGS.registration, patience=1)

    await reporting.projection.database.run(store_again)
    await reporting.publish(*LOGS.notifications)

    everything = messages(LOGS.registration) + messages(LOGS.notifications)
    assert canonical(reporting.projection.state) == canonical(fold(State(), everything))

"""Everything folded again is the same, byte for byte, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from contracts.problem import ProblemError
from services.chassis.reader import Message
from services.chassis.state import State
from services.reporting import store
from services.reporting.app import renewal
from services.reporting.domain import canonical, digest
from services.reporting.domain.state import MAILS, MailsEntry
from services.reporting.projection import Projection, fold
from services.reporting.rebuild import discard_leftovers
from tests.conftest import Broker
from tests.plausible import PlausibleLogs, grown, subject_and_body
from tests.reporting.conftest import Reporting, publish
from tests.warm import popen

LOGS = grown(random.Random(5).choice, 400)


def all_of(logs: PlausibleLogs) -> bytes:
    return canonical(
        fold(State(), [Message(1, *subject_and_body(fact)) for fact in logs.registration + logs.notifications])
    )


def file_of(path: Path) -> int:
    """Which file has the name."""
    return path.stat().st_ino


async def everything_counted(reporting: Reporting) -> Reporting:
    await reporting.publish(*LOGS.registration)
    await reporting.publish(*LOGS.notifications)
    return reporting


async def test_a_rebuild_is_identical_byte_for_byte(reporting: Reporting, path: Path) -> None:
    await everything_counted(reporting)
    before, file = reporting.projection.state, file_of(path)

    report = await reporting.rebuild()

    assert report.identical
    assert report.facts == len(LOGS.registration) + len(LOGS.notifications)
    assert report.digest == digest(before)
    assert canonical(reporting.projection.state) == canonical(before) == all_of(LOGS)
    assert file_of(path) != file
    assert [each.name for each in path.parent.iterdir() if "rebuild" in each.name] == []
    stored, positions = await reporting.projection.database.run(store.load)
    assert canonical(stored) == canonical(before)
    assert stored.same(before)
    assert positions == reporting.projection.positions


async def test_facts_that_arrive_meanwhile_are_not_lost(reporting: Reporting) -> None:
    half = len(LOGS.registration) // 2
    await reporting.publish(*LOGS.registration[:half])

    async def keep_publishing() -> None:
        rest = LOGS.registration[half:]
        for start in range(0, len(rest), 3):
            await publish(reporting.connection, rest[start : start + 3])
        await publish(reporting.connection, LOGS.notifications)

    publishing = asyncio.create_task(keep_publishing())
    reports = [await reporting.rebuild() for _ in range(2)]
    await publishing
    await reporting.catch_up()

    assert all(report.identical for report in reports)
    assert canonical(reporting.projection.state) == all_of(LOGS)
    stored, _ = await reporting.projection.database.run(store.load)
    assert canonical(stored) == all_of(LOGS)


async def test_what_was_counted_wrongly_is_right_afterwards_and_it_says_so(reporting: Reporting) -> None:
    await everything_counted(reporting)
    projection = reporting.projection
    programme = next(partition for partition in sorted(projection.state.partitions()) if partition != "_")
    projection.state = projection.state.put(programme, MAILS + "confirmation", MailsEntry(sent=1_000_000))

    report = await reporting.rebuild()

    assert not report.identical
    assert canonical(projection.state) == all_of(LOGS)


async def test_a_state_that_differs_in_nothing_that_is_reported_is_identical(reporting: Reporting) -> None:
    """Then the reports are compared themselves."""
    await everything_counted(reporting)
    projection = reporting.projection
    projection.state = projection.state.put("nowhere", MAILS + "confirmation", MailsEntry(sent=1))

    report = await reporting.rebuild()

    assert report.identical
    assert canonical(projection.state) == all_of(LOGS)


async def test_a_rebuild_does_not_need_a_live_reader(reporting: Reporting, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not follow is what a rebuild replaces."""
    for task in reporting.tasks:
        task.cancel()
    await publish(reporting.connection, LOGS.registration)
    monkeypatch.setattr("services.reporting.rebuild._LIVE_PATIENCE", 0.2)

    report = await reporting.rebuild()

    assert not report.identical
    assert report.facts == reporting.projection.positions[store.STREAMS[0]] == len(LOGS.registration)


@pytest.mark.parametrize("moment", ["while folding", "while filling", "before the swap", "after the swap"])
async def test_a_process_that_is_killed_meanwhile_harms_nothing(
    reporting: Reporting, broker: Broker, path: Path, moment: str
) -> None:
    await everything_counted(reporting)
    await reporting.stop()

    killed = popen([sys.executable, "-m", "tests.reporting.killed_rebuild", broker.url, str(path), moment])
    assert await asyncio.to_thread(killed.wait) == -signal.SIGKILL

    discard_leftovers(path)
    again = Reporting(reporting.connection, await Projection.open(path))
    assert canonical(again.projection.state) == all_of(LOGS)
    again.follow()
    assert (await again.rebuild()).identical
    await again.stop()
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_two_rebuilds_at_once_are_refused(reporting: Reporting) -> None:
    await everything_counted(reporting)
    rebuild = reporting.rebuild
    first, second = await asyncio.gather(rebuild(), rebuild(), return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert first.identical
    assert isinstance(second, ProblemError)
    assert second.problem.status == 409


async def test_a_stream_that_lost_its_end_keeps_the_old_reports(reporting: Reporting) -> None:
    await everything_counted(reporting)
    stream = store.STREAMS[0]
    jetstream = reporting.connection.jetstream()
    config = (await jetstream.stream_info(stream)).config
    await jetstream.delete_stream(stream)
    await jetstream.add_stream(config)
    await publish(reporting.connection, LOGS.registration[:50])
    rebuild = reporting.rebuild
    rebuild._patience = 0.5

    with pytest.raises(ProblemError) as told:
        await rebuild()

    assert told.value.problem.status == 503
    assert canonical(reporting.projection.state) == all_of(LOGS)
    # The relay brings the rest back, and everything is as before.
    await publish(reporting.connection, LOGS.registration[50:])
    assert (await reporting.rebuild()).identical


async def test_a_file_that_another_program_reads_is_left_alone(reporting: Reporting, path: Path) -> None:
    """Its write-ahead log would be applied to the new file."""
    half = len(LOGS.registration) // 2
    await reporting.publish(*LOGS.registration[:half])
    other = sqlite3.connect(path)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM entities").fetchone()

    with pytest.raises(ProblemError) as told:
        await reporting.rebuild()
    assert told.value.problem.status == 409

    await reporting.publish(*LOGS.registration[half:])
    other.close()
    assert (await reporting.rebuild()).identical
    assert reporting.projection.positions[store.STREAMS[0]] == len(LOGS.registration)


async def test_what_other_code_counted_is_counted_anew(reporting: Reporting, path: Path) -> None:
    """The last release had no word for some facts and passed over them; here it has lost what it knew of mails."""
    await everything_counted(reporting)
    for statement in ("UPDATE folded_by SET code = 'another'", "DELETE FROM entities WHERE kind LIKE '%ail%'"):
        await reporting.projection.database.run(lambda raw, statement=statement: raw.execute(statement).close())  # type: ignore[misc]
    await reporting.stop()
    reporting.projection = await Projection.open(path)
    assert canonical(reporting.projection.state) != all_of(LOGS)
    reporting.follow()
    renewing = asyncio.create_task(renewal(reporting.projection, reporting.rebuild)())
    try:
        async with asyncio.timeout(15):
            while await reporting.projection.counted_by_other_code():  # noqa: ASYNC110  # a column cannot be awaited
                await asyncio.sleep(0.02)
    finally:
        renewing.cancel()
    assert canonical(reporting.projection.state) == all_of(LOGS)


async def test_what_this_code_counted_is_not_counted_again(reporting: Reporting, path: Path) -> None:
    assert not await reporting.projection.counted_by_other_code()
    await everything_counted(reporting)
    assert not await reporting.projection.counted_by_other_code()
    await reporting.rebuild()
    assert not await reporting.projection.counted_by_other_code()

"""Mails are read elsewhere: whatever stands in one, the service goes on, and the mail is kept for a person."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from services.notifications.inbox import MailReader
from services.notifications.inbox.reader import ReaderUnavailable
from services.notifications.incoming.content import Read, Report, Unclear
from services.notifications.incoming.reading import read
from tests.notifications.inbox import attacks, returned

TO = "bounce+1@deelname.example"
NOOR = "noor@bibliotheek.example"
ORDINARY = returned.postfix(TO, NOOR)


@asynccontextmanager
async def reading(*command: str, patience: float = 60.0) -> AsyncIterator[MailReader]:
    reader = MailReader(command or None, patience=patience)
    try:
        yield reader
    finally:
        await reader.close()


def pretending(directory: Path, body: str) -> tuple[str, ...]:
    """A process that starts as the real one does and does something else with a mail that says so."""
    script = directory / "pretending.py"
    script.write_text(
        "import os, sys, time\n"
        "from services.notifications.incoming import __main__ as process\n"
        "truly = process.read\n"
        f"def read(raw, *known):\n    if b'X-Ill' in raw:\n{body}\n    return truly(raw, *known)\n"
        "process.read = read\n"
        "process.LONGEST_CPU = 1\n"
        "process.main()\n"
    )
    return sys.executable, str(script)


ILL = ORDINARY.replace(b"From:", b"X-Ill: yes\r\nFrom:", 1)


def unread(found: Read) -> str:
    assert isinstance(found.content, Unclear)
    return found.content.why


async def test_what_is_read_elsewhere_is_what_is_read_here() -> None:
    shapes = [
        ORDINARY,
        returned.exchange(TO, NOOR),
        returned.qmail(TO, NOOR),
        returned.reply("uid@deelname", NOOR),
        returned.out_of_office(TO, NOOR),
        returned.person(TO, NOOR),
        b"",
        b"\xff\xfe: \x00\r\n\r\n\xff",
    ]
    async with reading() as reader:
        for known in (None, True, False):
            assert [await reader.read(each, known) for each in shapes] == [read(each, known) for each in shapes]
        assert reader.trouble == ""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("        os.kill(os.getpid(), 9)", "failed over it"),
        ("        os._exit(0)", "failed over it"),
        ("        sys.stdout.buffer.write(b'\\xff' * 99)", "failed over it"),
        ("        sys.stdout.buffer.write(b'\\x00\\x00\\x00\\x02{}')", "failed over it"),
        ("        return bytearray(1 << 30)", "too much memory"),
        ("        time.sleep(999)", "too long"),
        ("        while True: pass", "too long"),
    ],
    ids=["killed", "ends", "babbles", "says nothing of use", "memory", "sleeps", "computes"],
)
async def test_a_mail_over_which_the_reader_ends_is_left_to_a_person_and_the_next_is_read(
    tmp_path: Path, body: str, why: str
) -> None:
    patience = 3.0 if "sleep" in body else 60.0
    async with reading(*pretending(tmp_path, body), patience=patience) as reader:
        found = await reader.read(ILL)
        assert why in unread(found)
        # Erasing somebody finds it all the same.
        assert {NOOR, TO} <= found.mentioned
        assert isinstance((await reader.read(ORDINARY)).content, Report)
        assert reader.trouble == ""


async def test_an_end_between_two_mails_is_nobodys_fault() -> None:
    async with reading() as reader:
        await reader.read(ORDINARY)
        process = reader._process
        assert process is not None
        process.kill()
        assert isinstance((await reader.read(ORDINARY)).content, Report)


async def test_a_stop_that_is_told_to_all_processes_leaves_the_mail_that_is_being_read() -> None:
    """Terminals and systemd tell the children of a service too."""
    async with reading() as reader:
        await reader.read(ORDINARY)
        process = reader._process
        assert process is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
        await reader.read(ORDINARY)
        assert reader._process is process


async def test_who_no_longer_waits_for_an_answer_leaves_none_to_the_next_mail(tmp_path: Path) -> None:
    async with reading(*pretending(tmp_path, "        time.sleep(999)")) as reader:
        await reader.read(ORDINARY)
        waiting = asyncio.create_task(reader.read(ILL))
        while reader.waiting == 0:  # noqa: ASYNC110
            await asyncio.sleep(0)
        other = asyncio.create_task(reader.read(returned.person(TO, NOOR)))
        await asyncio.sleep(0)
        waiting.cancel()
        assert unread(await other) == "somebody wrote"


async def test_a_reader_that_does_not_start_is_trouble_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notifications.inbox.reader._AGAIN_AFTER", 0.01)
    there = tmp_path / "there"
    script = f"[ -e {there} ] && exec {sys.executable} -m services.notifications.incoming; exit 3"
    async with reading("/bin/sh", "-c", script) as reader:
        with pytest.raises(ReaderUnavailable):
            await reader.read(ORDINARY)
        assert "does not start" in reader.trouble
        there.touch()
        seeing = asyncio.create_task(reader.run())
        async with asyncio.timeout(30):
            while reader.trouble:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        seeing.cancel()
        await asyncio.wait({seeing})
        assert isinstance((await reader.read(ORDINARY)).content, Report)


async def test_a_mail_that_waits_too_long_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifications.inbox.reader._WAITS_LONG", 0.0)
    async with reading(*pretending(tmp_path, "        time.sleep(999)")) as reader:
        waiting = asyncio.create_task(reader.read(ILL))
        async with asyncio.timeout(10):
            while not reader.trouble:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert "has waited" in reader.trouble
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_the_process_is_gone_when_nobody_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifications.inbox.reader._IDLE", 0.01)
    async with reading() as reader:
        await reader.read(ORDINARY)
        process = reader._process
        assert process is not None
        async with asyncio.timeout(10):
            await process.wait()
        assert isinstance((await reader.read(ORDINARY)).content, Report)
    # Nor is it left as a zombie.
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_it_knows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEELNAME_NATS_PASSWORD", "secret")
    async with reading() as reader:
        await reader.read(ORDINARY)
        assert reader._process is not None
        known = Path(f"/proc/{reader._process.pid}/environ")
        assert b"secret" not in await asyncio.to_thread(known.read_bytes)


async def test_an_attack_takes_neither_time_nor_the_event_loop() -> None:
    """Nor one ten times as large, as far as a mail may be so large."""
    late = 0.0

    async def tick() -> None:
        nonlocal late
        while True:
            before = monotonic()
            await asyncio.sleep(0.01)
            late = max(late, monotonic() - before)

    async with reading() as reader:
        await reader.read(ORDINARY)
        process = reader._process
        slow = {}
        for name, (make, size) in attacks.SIZES.items():
            for raw in (make(size), make(10 * size)[:10_000_000]):
                ticking = asyncio.create_task(tick())
                begun = monotonic()
                await reader.read(raw)
                if monotonic() - begun > 8:
                    slow[name] = monotonic() - begun
                ticking.cancel()
                await asyncio.wait({ticking})
        assert slow == {}
        # No mail of these was so much trouble that the process ended.
        assert reader._process is process
    assert late < 1

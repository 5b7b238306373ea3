"""A mail server hands mails over by LMTP: 250 when they are committed, 4xx when it must come again; none is lost."""

from __future__ import annotations

import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.inbox import Lmtp, parse_inbox
from services.notifications.inbox.wire import Wire


class Postbag:
    """What was taken, and a way to refuse."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str]] = []
        self.failing: set[str] = set()
        self.opened = 0
        self.null_senders: list[bool] = []

    def takes(self, address: str) -> bool:
        return address.endswith("@deelname.example")

    async def opens(self, raw: bytes, null_sender: bool) -> Callable[[str], Awaitable[None]]:
        self.opened += 1
        self.null_senders.append(null_sender)

        async def take(recipient: str) -> None:
            if recipient in self.failing:
                raise OSError("the disk is full")
            self.taken.append((raw, recipient))

        return take


@asynccontextmanager
async def listening(bag: Postbag, largest: int = 100_000, patience: float = 30, **more: Any) -> AsyncIterator[Lmtp]:
    server = Lmtp("127.0.0.1", 0, takes=bag.takes, opens=bag.opens, largest=largest, patience=patience, **more)
    task = asyncio.create_task(server.run())
    async with asyncio.timeout(10):
        while server.port == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    try:
        yield server
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def client(port: int, talk: Callable[[smtplib.LMTP], object]) -> object:
    """What a client of the standard library makes of the server, in a thread."""

    def run() -> object:
        with smtplib.LMTP("127.0.0.1", port, timeout=10) as connection:
            return talk(connection)

    return await asyncio.to_thread(run)


async def raw_talk(port: int, lines: Sequence[bytes]) -> list[bytes]:
    """The replies to lines that are sent all at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(lines))
    answers = []
    async with asyncio.timeout(10):
        # A server that has heard enough hangs up on what it has not read.
        with suppress(ConnectionError):
            while line := await reader.readline():
                answers.append(line.strip())
    writer.transport.abort()
    return answers


async def test_a_mail_arrives_byte_for_byte() -> None:
    bag = Postbag()
    to = "bounce+1@deelname.example"
    async with listening(bag) as server:
        refused = await client(server.port, lambda each: each.sendmail("", to, b"Subject: x\r\n\r\n.\r\n..x\r\n"))
    assert refused == {}
    assert bag.taken == [(b"Subject: x\r\n\r\n.\r\n..x\r\n", to)]


async def test_each_recipient_has_an_answer_of_its_own_and_a_failure_keeps_the_mail_with_the_server() -> None:
    bag = Postbag()
    bag.failing.add("b@deelname.example")
    lines = [
        b"LHLO relay\r\nMAIL FROM:<>\r\n",
        b"RCPT TO:<a@deelname.example>\r\nRCPT TO:<b@deelname.example>\r\nRCPT TO:<c@elsewhere.example>\r\n",
        b"DATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n",
    ]
    async with listening(bag) as server:
        answers = await raw_talk(server.port, lines)
    assert [each[:3] for each in answers[-7:]] == [b"250", b"250", b"550", b"354", b"250", b"451", b"221"]
    assert [address for _, address in bag.taken] == ["a@deelname.example"]


async def test_only_a_dot_between_two_proper_line_ends_ends_a_message() -> None:
    """Who takes less for an end can be made to see a second mail in the first (CVE-2023-51764 and its kin)."""
    bag = Postbag()
    smuggled = b"Subject: x\r\n\r\nfirst\n.\nMAIL FROM:<>\r\n\n.\r\nlast\r\n"
    lines = [b"LHLO relay\r\nMAIL FROM:<>\r\nRCPT TO:<a@deelname.example>\r\nDATA\r\n", smuggled, b".\r\nQUIT\r\n"]
    async with listening(bag) as server:
        await raw_talk(server.port, lines)
    assert bag.taken == [(smuggled, "a@deelname.example")]


async def test_what_is_too_large_is_refused_and_the_next_mail_is_taken() -> None:
    bag = Postbag()
    to = b"LHLO relay\r\nMAIL FROM:<>\r\nRCPT TO:<a@deelname.example>\r\nDATA\r\n"
    # One line longer than the reader's own limit, and many short ones.
    for large in (b"x" * 200_000 + b"\r\n", b"x\r\n" * 70_000):
        async with listening(bag) as server:
            answers = await raw_talk(
                server.port,
                [to, large, b".\r\nMAIL FROM:<>\r\nRCPT TO:<a@deelname.example>\r\nDATA\r\nok\r\n.\r\nQUIT\r\n"],
            )
        assert [each[:3] for each in answers[-6:]] == [b"552", b"250", b"250", b"354", b"250", b"221"]
    assert bag.taken == [(b"ok\r\n", "a@deelname.example")] * 2
    async with listening(bag) as server:
        answers = await raw_talk(server.port, [b"LHLO relay\r\nMAIL FROM:<> SIZE=100001\r\nQUIT\r\n"])
    assert answers[-2].startswith(b"552")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"EHLO relay", b"503"),
        (b"MAIL FROM:<>", b"503"),
        (b"\xff\xfe", b"500"),
        (b"LHLO relay\r\nVRFY noor", b"500"),
        (b"LHLO relay\r\nRCPT TO:<a@deelname.example>", b"503"),
        (b"LHLO relay\r\nMAIL FROM:<>\r\nMAIL FROM:<>", b"503"),
        (b"LHLO relay\r\nMAIL FROM:<>\r\nRCPT TO:a@deelname.example", b"501"),
        (b"LHLO relay\r\nMAIL FROM:<>\r\nDATA", b"503"),
        (b"LHLO relay\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>", b"250"),
        (b"x" * 3000, b"500"),
        (b"NOOP", b"250"),
    ],
)
async def test_what_is_no_conversation_is_answered_and_goes_on(line: bytes, answer: bytes) -> None:
    async with listening(Postbag()) as server:
        answers = await raw_talk(server.port, [line, b"\r\nQUIT\r\n"])
    assert answers[-2][:3] == answer
    assert answers[-1].startswith(b"221")


async def test_who_says_nothing_is_hung_up_on() -> None:
    async with listening(Postbag(), patience=0.05) as server:
        assert [each[:3] for each in await raw_talk(server.port, [])] == [b"220", b"421"]


async def test_a_connection_that_breaks_in_the_message_leaves_nothing() -> None:
    bag = Postbag()
    async with listening(bag) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"LHLO relay\r\nMAIL FROM:<>\r\nRCPT TO:<a@deelname.example>\r\nDATA\r\nhalf a")
        await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(10):
            await reader.read()
        writer.close()
        await writer.wait_closed()
        # The server goes on.
        assert await client(server.port, lambda each: each.noop()[0]) == 250
    assert bag.taken == []


# Who would hold the place of others ----------------------------------------------------------------------------------


@asynccontextmanager
async def held(port: int, number: int, said: bytes) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections that have said something, and say nothing more."""
    connections = []
    for _ in range(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        connections.append((reader, writer))
    # Each was let in before the next comes.
    for reader, _ in connections:
        with suppress(ConnectionError):
            await reader.readline()
    yield [reader for reader, _ in connections]
    for _, writer in connections:
        writer.transport.abort()


TO_A = b"LHLO relay\r\nMAIL FROM:<>\r\nRCPT TO:<a@deelname.example>\r\nDATA\r\n"


@pytest.mark.parametrize(
    "said", [b"", b"LHLO re", TO_A, TO_A + b"Subject: x\r\n\r\nhalf a"], ids=["nothing", "half", "all but", "much"]
)
async def test_connections_that_are_held_are_taken_from_who_holds_them(said: bytes) -> None:
    bag = Postbag()
    async with listening(bag, connections=5) as server, held(server.port, 12, said) as strangers:
        for _ in range(3):
            await client(server.port, lambda each: each.sendmail("", "a@deelname.example", b"Subject: x\r\n\r\n"))
        async with asyncio.timeout(10):
            assert b"421 4.3.2" in (await strangers[0].read())
    assert len(bag.taken) == 3


async def test_many_large_messages_at_once_take_no_more_memory_than_there_is() -> None:
    bag = Postbag()
    large = TO_A + b"x" * 60_000
    async with listening(bag, memory=200_000) as server, held(server.port, 12, large):
        await client(server.port, lambda each: each.sendmail("", "a@deelname.example", b"Subject: x\r\n\r\n"))
        assert sum(each.octets for each in server._guests._present) <= 200_000
    assert len(bag.taken) == 1


async def test_who_talks_all_the_time_has_to_come_to_an_end() -> None:
    async with listening(Postbag(), turn=0.3) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(TO_A)
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                while not reader.at_eof() and not writer.is_closing():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.01)
        writer.transport.abort()
        # Nor with commands that are none.
        answers = await raw_talk(server.port, [b"NOOP\r\n" * 5000])
        assert answers[-1].startswith(b"421 4.7.0")


async def test_a_line_without_end_ends_the_conversation() -> None:
    async with listening(Postbag()) as server:
        assert (await raw_talk(server.port, [b"x" * 300_000]))[0].startswith(b"220")


async def test_who_takes_a_mail_is_told_whether_its_envelope_has_the_null_sender() -> None:
    bag = Postbag()
    async with listening(bag) as server:
        for sender in (b"", b"noor@bibliotheek.example", b""):
            said = b"MAIL FROM:<%s>\r\nRCPT TO:<a@deelname.example>\r\n" % sender
            await raw_talk(server.port, [b"LHLO relay\r\n" + said, b"DATA\r\nx\r\n.\r\nQUIT\r\n"])
    assert bag.null_senders == [True, False, True]


async def test_a_message_for_many_is_read_once() -> None:
    bag = Postbag()
    to = b"".join(b"RCPT TO:<%d@deelname.example>\r\n" % number for number in range(100))
    async with listening(bag) as server:
        answers = await raw_talk(server.port, [b"LHLO relay\r\nMAIL FROM:<>\r\n", to, b"DATA\r\nx\r\n.\r\nQUIT\r\n"])
    assert (bag.opened, len(bag.taken)) == (1, 100)
    assert [each[:3] for each in answers[-101:]] == [b"250"] * 100 + [b"221"]


async def test_an_address_that_is_taken_is_listened_on_once_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifications.inbox.lmtp._BETWEEN_TRIES", 0.01)
    bag = Postbag()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = Lmtp("127.0.0.1", port, takes=bag.takes, opens=bag.opens)
        task = asyncio.create_task(server.run())
        async with asyncio.timeout(10):
            while not server.trouble:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    assert f"cannot listen on 127.0.0.1:{port}" in server.trouble
    async with asyncio.timeout(10):
        while server.trouble:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert await client(port, lambda each: each.noop()[0]) == 250
    task.cancel()
    await asyncio.wait({task})


@given(
    st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"x", b"\r\n.", b"\r\n..", b"\n.\n"]), max_size=30),
    st.integers(1, 9),
)
def test_a_message_is_found_whatever_the_pieces_that_it_comes_in(parts: list[bytes], size: int) -> None:
    content = b"".join(parts) + b"\r\n"
    stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    said = stuffed + b".\r\nNOOP\r\n"
    held: list[int] = []

    async def listen() -> tuple[bytes | None, bytes]:
        reader = asyncio.StreamReader()

        async def speak() -> None:
            for begin in range(0, len(said), size):
                reader.feed_data(said[begin : begin + size])
                await asyncio.sleep(0)

        wire = Wire(reader, 10, held.append)
        speaking = asyncio.create_task(speak())
        found = await wire.message(10_000), await wire.line()
        await speaking
        return found

    assert asyncio.run(listen()) == (content, b"NOOP\r\n")
    assert max(held) <= len(content) + 2


def test_an_inbox_is_named_or_off() -> None:
    assert parse_inbox("off") is None
    assert parse_inbox("lmtp://127.0.0.1:2424") == ("127.0.0.1", 2424)
    assert parse_inbox("lmtp://[::1]:24") == ("::1", 24)
    for wrong in ("", "lmtp://127.0.0.1", "smtp://127.0.0.1:25", "lmtp://u@h:24", "lmtp://h:x", "lmtp://h:24/path"):
        with pytest.raises(ValueError, match="lmtp://127"):
            parse_inbox(wrong)

"""A mail server hands mails over by LMTP: 250 when they are committed, 4xx when it must come again; none is lost."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from services.notifications.inbox import Lmtp, parse_inbox


class Postbag:
    """What was taken, and a way to refuse."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str]] = []
        self.failing: set[str] = set()

    def takes(self, address: str) -> bool:
        return address.endswith("@deelname.example")

    async def receive(self, raw: bytes, recipient: str) -> None:
        if recipient in self.failing:
            raise OSError("the disk is full")
        self.taken.append((raw, recipient))


@asynccontextmanager
async def listening(bag: Postbag, largest: int = 100_000, patience: float = 30) -> AsyncIterator[Lmtp]:
    server = Lmtp("127.0.0.1", 0, takes=bag.takes, receive=bag.receive, largest=largest, patience=patience)
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
    async with asyncio.timeout(10):
        answers = (await reader.read()).splitlines()
    writer.close()
    await writer.wait_closed()
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
        assert len(await raw_talk(server.port, [])) == 1


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


def test_an_inbox_is_named_or_off() -> None:
    assert parse_inbox("off") is None
    assert parse_inbox("lmtp://127.0.0.1:2424") == ("127.0.0.1", 2424)
    assert parse_inbox("lmtp://[::1]:24") == ("::1", 24)
    for wrong in ("", "lmtp://127.0.0.1", "smtp://127.0.0.1:25", "lmtp://u@h:24", "lmtp://h:x", "lmtp://h:24/path"):
        with pytest.raises(ValueError, match="lmtp://127"):
            parse_inbox(wrong)

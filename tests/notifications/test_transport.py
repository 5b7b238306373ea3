"""Deliveries to a real SMTP server that fails on request, and to a real maildir: the outcome says what happened."""

import asyncio
import base64
import json
import mailbox
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from deploy.production.certificates import make_certificates
from services.notifications.hygiene import UnusableAddress
from services.notifications.transport import (
    GIVE_UP_AFTER,
    Failed,
    Fault,
    Maildir,
    Outcome,
    Relay,
    Reply,
    Retry,
    Sent,
    Smtp,
    Transport,
    Uncertain,
    next_try,
    parse_transport,
    wait,
)
from services.notifications.transport import smtp as smtp_module
from services.notifications.transport.outcomes import LONGEST_KEPT
from tests.notifications.samples import at, life_cycle

SERVER = Path(__file__).with_name("smtp_server.py")
SENDER = "bounce@deelname.example"
NOOR = "noor@bibliotheek-zeist.example"
RAW = next(raw for name, _, _, raw in life_cycle() if name == "02-invite.nl")
ID = "<4f0c1d2e3a4b5c6d7e8f901234567890@deelname.example>"


class Server:
    """A running SMTP server and what it took since this test asked for it."""

    def __init__(self, port: int, mails: Path) -> None:
        self.port = port
        self._mails = mails
        self._before = len(self._lines)

    @property
    def _lines(self) -> list[str]:
        written = self._mails.read_text(encoding="ascii") if self._mails.exists() else ""
        # The server may be in the middle of a line.
        return written[: written.rfind("\n") + 1].splitlines()

    @property
    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines[self._before :]]

    @property
    def raw(self) -> list[bytes]:
        return [base64.b64decode(mail["raw"]) for mail in self.taken]


Start = Callable[..., Server]
PIPELINING = pytest.mark.parametrize("pipelining", [False, True], ids=["one-by-one", "in-groups"])


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a server of the kind that is asked for, once a kind: an interpreter takes most of a second to start."""
    running: dict[str, tuple[subprocess.Popen[str], int, Path]] = {}
    directory = tmp_path_factory.mktemp("smtp")

    def start(**asked: Any) -> Server:
        kind = json.dumps(asked, sort_keys=True)
        if kind not in running:
            mails = directory / f"mails-{len(running)}.jsonl"
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(SERVER), json.dumps({"mails": str(mails), **asked})],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            running[kind] = process, int(process.stdout.readline()), mails
        _, port, mails = running[kind]
        return Server(port, mails)

    yield start
    for process, _, _ in running.values():
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@asynccontextmanager
async def opened(transport: Transport) -> AsyncIterator[Transport]:
    await transport.open()
    try:
        yield transport
    finally:
        await transport.close()


def relay(server: Server, **options: Any) -> Smtp:
    """A transport to the server, without TLS unless asked: reading the system's certificates takes long."""
    return Smtp(Relay("127.0.0.1", server.port, **{"encryption": "never", **options}))


async def deliver(transport: Transport, recipient: str = NOOR, sender: str = SENDER, raw: bytes = RAW) -> Outcome:
    async with opened(transport):
        return await transport.deliver(sender, recipient, raw, ID)


@PIPELINING
async def test_a_mail_arrives_byte_for_byte_with_its_envelope(start: Start, pipelining: bool) -> None:
    server = start(pipelining=pipelining)

    outcome = await deliver(relay(server))

    assert outcome == Sent(Reply("2.0.0 taken as 42", 250, "2.0.0"))
    assert [(mail["from"], mail["to"]) for mail in server.taken] == [(SENDER, [NOOR])]
    assert server.raw == [RAW]


@pytest.mark.parametrize("body", [b"", b".", b"..", b"a\r\n.\r\n..b\r\n.c\r\n", b"a\n.\nb", b"a\r.\r\nb", b"\r\n.\r\n"])
async def test_whatever_the_bytes_the_server_takes_them_as_one_message(start: Start, body: bytes) -> None:
    server = start()

    assert isinstance(await deliver(relay(server), raw=b"Subject: x\r\n\r\n" + body), Sent)

    (taken,) = server.raw
    lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n")
    assert taken.removesuffix(b"\r\n").split(b"\r\n")[2:] == ([] if lines == [b""] and not body else lines)


async def test_a_server_that_wants_a_message_after_it_refused_us_gets_an_empty_one(start: Start) -> None:
    """RFC 2920 §3.1: the recipient was refused and DATA taken; the connection goes on."""
    server = start(pipelining=True, lenient=True)
    async with opened(relay(server, connections=1)) as transport:
        refused = await transport.deliver(SENDER, "rcpt.550.5.1.1@x.example", RAW, ID)
        sent = await transport.deliver(SENDER, NOOR, RAW, ID)

    assert isinstance(refused, Failed)
    assert refused.suppress
    assert isinstance(sent, Sent)
    assert server.taken[0] == {"for nobody": ".\r\n"}
    assert len(server.taken) == 2


class Speaks(asyncio.Protocol):
    """A server that takes commands in groups and answers a group as it was told."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 here\r\n")

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"EHLO"):
            self.transport.write(b"250-here\r\n250 PIPELINING\r\n")
        elif data.startswith(b"MAIL"):
            self.transport.write(self.answer)
        else:
            self.transport.write(b"250 taken\r\n")


@asynccontextmanager
async def speaking(answer: bytes) -> AsyncIterator[Smtp]:
    server = await asyncio.get_running_loop().create_server(lambda: Speaks(answer), "127.0.0.1", 0)
    try:
        async with opened(Smtp(Relay("127.0.0.1", server.sockets[0].getsockname()[1], "never"))) as transport:
            assert isinstance(transport, Smtp)
            yield transport
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "outcome", "text"),
    [
        (b"250 a\r\n250 b\r\n354 c\r\n", Sent, "taken"),
        (b"250-a\r\n250-a\r\n250 a\r\n250 b\r\n354-c\r\n354 c\r\n", Sent, "taken"),
        (b"250 a\r\n550-5.1.1 not\r\n550 5.1.1 here\r\n554 c\r\n", Failed, "5.1.1 not"),
        (b"250 a\r\n250 b\r\n354 c\r\n250 d\r\n", Retry, "more replies"),
        (b"hello\r\n", Retry, "not a reply"),
        (b"250-" + b"x" * 40_000, Retry, "too long"),
        (b"550 5.7.1 a\r\n250 b\r\n354 c\r\n", Fault, "5.7.1 a"),
    ],
)
async def test_each_reply_of_a_group_is_judged_and_nonsense_ends_the_connection(
    answer: bytes, outcome: type[Outcome], text: str
) -> None:
    async with speaking(answer) as transport:
        found = await transport.deliver(SENDER, NOOR, RAW, ID)

    assert isinstance(found, outcome)
    assert text in str(found)


async def test_lines_with_dots_and_bare_breaks_cannot_end_a_message_early(start: Start) -> None:
    server = start()
    raw = b"Subject: x\r\n\r\n.\r\n..\r\n.a\n.\nb\r.\r\nQUIT"

    assert isinstance(await deliver(relay(server), raw=raw), Sent)

    assert server.raw == [b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\n.\r\nb\r\n.\r\nQUIT\r\n"]


@pytest.mark.parametrize(
    ("recipient", "outcome"),
    [
        ("rcpt.421@x.example", Retry),
        ("rcpt.451.4.7.1@x.example", Retry),
        ("rcpt.450@x.example", Retry),
        ("rcpt.reset@x.example", Retry),
        ("data.452@x.example", Retry),
        ("data.reset@x.example", Retry),
        ("end.451@x.example", Retry),
        ("end.421@x.example", Retry),
        ("rcpt.550@x.example", Failed),
        ("rcpt.550.5.7.1@x.example", Failed),
        ("data.554@x.example", Failed),
        ("end.554.5.7.0@x.example", Failed),
        ("rcpt.550.5.1.8@x.example", Fault),
        ("end.reset@x.example", Uncertain),
    ],
)
@PIPELINING
async def test_each_fault_gets_its_own_outcome_and_the_next_mail_goes_out(
    start: Start, recipient: str, outcome: type[Outcome], pipelining: bool
) -> None:
    server = start(pipelining=pipelining)
    async with opened(relay(server)) as transport:
        found = await transport.deliver(SENDER, recipient, RAW, ID)
        after = await transport.deliver(SENDER, NOOR, RAW, ID)

    assert isinstance(found, outcome)
    if isinstance(found, Retry):
        assert found.after == timedelta(minutes=1)
    if isinstance(found, Failed):
        assert found.permanent
        assert not found.suppress
    assert isinstance(after, Sent)
    assert server.taken[-1]["to"] == [NOOR]


@pytest.mark.parametrize(
    "recipient", ["rcpt.550.5.1.1@x.example", "rcpt.553.5.1.10@x.example", "end.550.5.1.1@x.example"]
)
@PIPELINING
async def test_an_address_that_does_not_exist_is_to_be_suppressed(
    start: Start, recipient: str, pipelining: bool
) -> None:
    outcome = await deliver(relay(start(pipelining=pipelining)), recipient)

    assert isinstance(outcome, Failed)
    assert outcome.permanent
    assert outcome.suppress
    assert outcome.reply.status is not None
    assert outcome.reply.status.startswith("5.1.")


@pytest.mark.parametrize(
    ("recipient", "verdict"),
    [
        ("rcpt.550.5.1.1@x.example", "gone"),
        ("rcpt.550.5.7.606@x.example", "ours"),
        ("rcpt.552.5.2.2@x.example", "failing"),
        ("rcpt.556.5.1.10@x.example", "gone"),
        ("rcpt.550@x.example", "failing"),
        ("end.554.5.7.0@x.example", "ours"),
        ("end.552.5.3.4@x.example", "ours"),
    ],
)
async def test_a_refusal_is_judged_as_a_report_of_it_would_be(start: Start, recipient: str, verdict: str) -> None:
    outcome = await deliver(relay(start()), recipient)

    assert isinstance(outcome, Failed)
    assert outcome.verdict == verdict


@pytest.mark.parametrize(
    ("sender", "outcome"),
    [
        ("mail.550@x.example", Fault),
        ("mail.530.5.7.0@x.example", Fault),
        ("mail.552.5.3.4@x.example", Failed),
        ("mail.451@x.example", Retry),
        ("mail.421@x.example", Retry),
        ("mail.reset@x.example", Retry),
    ],
)
@PIPELINING
async def test_a_refused_sender_stops_the_queue_and_not_the_recipient(
    start: Start, sender: str, outcome: type[Outcome], pipelining: bool
) -> None:
    server = start(pipelining=pipelining)

    assert isinstance(await deliver(relay(server), sender=sender), outcome)
    assert server.taken == []


@pytest.mark.parametrize(
    ("greeting", "outcome"),
    [
        ("554 5.7.1 go away", Fault),
        ("421 4.3.2 later", Retry),
        ("451 later", Retry),
        ("HTTP/1.1 400 Bad Request", Retry),
    ],
)
async def test_a_greeting_decides_between_fault_and_patience(
    start: Start, greeting: str, outcome: type[Outcome]
) -> None:
    assert isinstance(await deliver(relay(start(greeting=greeting))), outcome)


async def test_a_relay_that_is_not_there_is_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        outcome = await deliver(Smtp(Relay("127.0.0.1", taken.getsockname()[1], "never")))

    assert isinstance(outcome, Retry)
    assert outcome.reply.code is None


@PIPELINING
async def test_no_answer_before_the_message_is_a_retry_and_after_it_uncertain(start: Start, pipelining: bool) -> None:
    server = start(pipelining=pipelining)

    before = await deliver(relay(server, command_timeout=0.2), "rcpt.slow@x.example")
    after = await deliver(relay(server, data_timeout=0.2), "end.slow@x.example")

    assert isinstance(before, Retry)
    assert isinstance(after, Uncertain)
    assert "0.2 s" in after.reason


async def test_a_wrong_password_is_a_fault_and_the_right_one_opens(start: Start) -> None:
    server = start(password="secret")

    wrong = await deliver(relay(server, user="deelname", password="guess"))
    right = await deliver(relay(server, user="deelname", password="secret"))
    none = await deliver(relay(server))

    assert isinstance(wrong, Fault)
    assert wrong.reply.code == 535
    assert isinstance(right, Sent)
    assert isinstance(none, Fault)
    assert [mail["login"] for mail in server.taken] == [True]


async def test_a_password_for_a_server_that_asks_for_none_is_a_fault(start: Start) -> None:
    assert isinstance(await deliver(relay(start(), user="deelname", password="secret")), Fault)


@pytest.mark.parametrize("encryption", ["required", "offered"])
async def test_starttls_is_used_when_the_server_offers_it(
    start: Start, certificate: str, trusted: str, encryption: str
) -> None:
    server = start(tls="starttls", certificate=certificate, password="secret")

    outcome = await deliver(
        relay(server, encryption=encryption, certificates=trusted, user="deelname", password="secret")
    )

    assert isinstance(outcome, Sent)
    assert [mail["tls"] for mail in server.taken] == [True]


async def test_starttls_that_is_required_but_not_offered_is_a_fault(start: Start) -> None:
    server = start()

    assert isinstance(await deliver(relay(server, encryption="required")), Fault)
    assert server.taken == []


@pytest.mark.parametrize(("tls", "encryption"), [("starttls", "required"), ("starttls", "offered"), ("always", "tls")])
async def test_a_certificate_of_a_stranger_is_a_fault(
    start: Start, certificate: str, tls: str, encryption: str
) -> None:
    server = start(tls=tls, certificate=certificate)

    outcome = await deliver(relay(server, encryption=encryption))

    assert isinstance(outcome, Fault)
    assert "certificate" in str(outcome.reply)
    assert server.taken == []


async def test_smtps_speaks_tls_from_the_first_octet(start: Start, certificate: str, trusted: str) -> None:
    server = start(tls="always", certificate=certificate)

    assert isinstance(await deliver(parse_transport(f"smtps://127.0.0.1:{server.port}?ca={trusted}")), Sent)
    assert [mail["tls"] for mail in server.taken] == [True]


async def test_a_relay_with_a_certificate_of_deelnames_own_authority_is_believed(start: Start, tmp_path: Path) -> None:
    """What ``deelname broker certificates`` makes; and what another such authority made is not believed."""
    made, stranger = (make_certificates(tmp_path / name, ["127.0.0.1"]) for name in ("ours", "stranger"))
    both = tmp_path / "both.pem"
    both.write_bytes(made.server_key.read_bytes() + made.server.read_bytes())
    server = start(tls="always", certificate=str(both))

    address = f"smtps://127.0.0.1:{server.port}?ca="
    assert isinstance(await deliver(parse_transport(f"{address}{made.authority}")), Sent)
    assert isinstance(await deliver(parse_transport(f"{address}{stranger.authority}")), Fault)
    assert [mail["tls"] for mail in server.taken] == [True]


async def test_smtps_to_a_server_without_tls_is_a_fault(start: Start) -> None:
    assert isinstance(await deliver(relay(start(), encryption="tls")), Fault)


async def test_certificates_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("x")
    for name in ("bad.pem", "absent.pem"):
        transport = Smtp(Relay("127.0.0.1", 25, encryption="tls", certificates=str(tmp_path / name)))
        with pytest.raises(OSError, match=r".+") as refused:
            await transport.open()
        assert isinstance(refused.value, ssl.SSLError | FileNotFoundError)


@PIPELINING
async def test_connections_are_few_and_used_again(start: Start, pipelining: bool) -> None:
    server = start(pipelining=pipelining)
    async with opened(relay(server, connections=3)) as transport:
        outcomes = await asyncio.gather(*(transport.deliver(SENDER, "few@x.example", RAW, ID) for _ in range(40)))

    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    # The server may only now come to a mail of an earlier test that waited for no answer.
    taken = [mail for mail in server.taken if mail["to"] == ["few@x.example"]]
    assert len(taken) == 40
    assert 1 <= len({tuple(mail["peer"]) for mail in taken}) <= 3


async def test_a_connection_carries_a_hundred_mails_at_most(start: Start) -> None:
    server = start()
    async with opened(relay(server, connections=1)) as transport:
        for _ in range(101):
            assert isinstance(await transport.deliver(SENDER, NOOR, b"Subject: x\r\n\r\nx", ID), Sent)

    peers = [tuple(mail["peer"]) for mail in server.taken]
    assert len(set(peers[:100])) == 1
    assert peers[100] != peers[0]


async def test_a_connection_that_was_idle_for_long_is_not_used_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_module, "LONGEST_IDLE", 0.0)
    server = start()
    async with opened(relay(server)) as transport:
        for _ in range(2):
            assert isinstance(await transport.deliver(SENDER, NOOR, RAW, ID), Sent)

    assert len({tuple(mail["peer"]) for mail in server.taken}) == 2


@PIPELINING
async def test_a_server_that_ends_a_used_connection_costs_no_retry(start: Start, pipelining: bool) -> None:
    server = start(pipelining=pipelining)
    async with opened(relay(server, connections=1)) as transport:
        outcomes = [await transport.deliver("once.421@x.example", NOOR, RAW, ID) for _ in range(3)]

    assert [type(outcome) for outcome in outcomes] == [Sent, Sent, Sent]
    assert len({tuple(mail["peer"]) for mail in server.taken}) == 3


async def test_a_delivery_that_is_cancelled_gives_its_place_back(start: Start) -> None:
    server = start()
    async with opened(relay(server, connections=1)) as transport:
        task = asyncio.create_task(transport.deliver(SENDER, "end.slow@x.example", RAW, ID))
        async with asyncio.timeout(10):
            # Another process writes the file: there is no event to wait for.
            while not server.taken:  # noqa: ASYNC110
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(await transport.deliver(SENDER, NOOR, RAW, ID), Sent)


@pytest.mark.parametrize("address", ["zoë@nergens", "a@x.example>\r\nRCPT TO:<b@x.example", "a@x.example b@x.example"])
async def test_an_address_that_is_none_reaches_no_server(start: Start, address: str) -> None:
    server = start()
    async with opened(relay(server)) as transport:
        with pytest.raises(UnusableAddress):
            await transport.deliver(SENDER, address, RAW, ID)
        with pytest.raises(UnusableAddress):
            await transport.deliver(address, NOOR, RAW, ID)

    assert server.taken == []


async def test_letters_beyond_ascii_go_to_a_server_that_takes_them_and_to_no_other(start: Start) -> None:
    raw = RAW.replace(b"To: ", "To: Zoë ".encode(), 1)
    server = start(smtputf8=True)
    assert isinstance(await deliver(relay(server), "zoë@x.example", raw=raw), Sent)
    assert [mail["to"] for mail in server.taken] == [["zoë@x.example"]]
    ordinary = start()
    refused = await deliver(relay(ordinary), "zoë@x.example", raw=raw)
    assert isinstance(refused, Failed)
    assert "SMTPUTF8" in refused.reply.text
    assert ordinary.taken == []


async def test_the_empty_sender_of_a_notice_is_allowed(start: Start, tmp_path: Path) -> None:
    server = start()

    assert isinstance(await deliver(relay(server), sender=""), Sent)
    assert server.taken[0]["from"] in ("", "<>")
    assert isinstance(await deliver(Maildir(tmp_path / "mail"), sender=""), Sent)


async def test_a_transport_that_was_not_opened_says_so() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await Smtp(Relay("127.0.0.1", 25)).deliver(SENDER, NOOR, RAW, ID)


async def test_a_maildir_holds_each_mail_as_a_file_that_any_program_reads(tmp_path: Path) -> None:
    outcome = await deliver(parse_transport(f"maildir:{tmp_path}/mail"))

    assert isinstance(outcome, Sent)
    (file,) = (tmp_path / "mail" / "new").iterdir()
    assert str(outcome.reply) == f"new/{file.name}"
    assert file.name.startswith("1677748440.")
    assert file.stat().st_mode & 0o777 == 0o600
    trace = f"Return-Path: <{SENDER}>\nDelivered-To: {NOOR}\n".encode()
    assert file.read_bytes() == trace + RAW.replace(b"\r\n", b"\n")
    (mail,) = mailbox.Maildir(tmp_path / "mail", create=False)
    assert mail["Delivered-To"] == NOOR
    assert mail["Message-ID"] in RAW.decode()
    assert list((tmp_path / "mail" / "tmp").iterdir()) == []


async def test_delivering_the_same_mail_again_leaves_one_file(tmp_path: Path) -> None:
    async with opened(Maildir(tmp_path)) as transport:
        first = await transport.deliver(SENDER, NOOR, RAW, ID)
        (tmp_path / "tmp" / next((tmp_path / "new").iterdir()).name).write_bytes(b"what a crash left")
        again = await transport.deliver(SENDER, NOOR, RAW, ID)
        other = await transport.deliver(SENDER, NOOR, RAW, "<other@deelname.example>")

    assert first == again
    assert isinstance(other, Sent)
    assert len(list((tmp_path / "new").iterdir())) == 2


async def test_many_mails_at_once_are_all_there(tmp_path: Path) -> None:
    async with opened(Maildir(tmp_path)) as transport:
        outcomes = await asyncio.gather(
            *(transport.deliver(SENDER, NOOR, RAW, f"<{number}@x.example>") for number in range(100))
        )

    assert len({str(outcome.reply) for outcome in outcomes if isinstance(outcome, Sent)}) == 100
    assert len(list((tmp_path / "new").iterdir())) == 100


async def test_a_maildir_that_vanished_is_a_fault(tmp_path: Path) -> None:
    async with opened(Maildir(tmp_path / "mail")) as transport:
        (tmp_path / "mail" / "tmp").rmdir()
        outcome = await transport.deliver(SENDER, NOOR, RAW, ID)

    assert isinstance(outcome, Fault)


async def test_a_mail_without_a_date_still_gets_a_file(tmp_path: Path) -> None:
    outcome = await deliver(Maildir(tmp_path), raw=b"Subject: x\r\n\r\nDate: Thu, 2 Mar 2023 09:14:00 +0000\r\n")

    assert isinstance(outcome, Sent)
    assert str(outcome.reply).startswith("new/0.")


def test_the_waits_follow_the_table() -> None:
    minutes = [wait(attempt).total_seconds() / 60 for attempt in range(1, 9)]

    assert minutes == [1, 5, 15, 60, 240, 720, 720, 720]
    assert wait(0) == wait(1)
    assert wait(2, 1.0) == timedelta(minutes=5.5)
    assert wait(2, -1.0) == timedelta(minutes=4.5)


@given(st.integers(min_value=1, max_value=20), st.floats(min_value=-1, max_value=1))
def test_jitter_moves_a_wait_by_a_tenth_at_most(attempt: int, jitter: float) -> None:
    assert abs(wait(attempt, jitter) / wait(attempt) - 1) <= 0.1 + 1e-9


def test_a_mail_is_given_up_after_two_days_or_when_its_session_begins() -> None:
    first = at(6, 1, 12)
    retry = Retry(Reply("later", 451), wait(6))

    assert next_try(retry, now=at(6, 2, 12), first=first) == at(6, 3, 0)
    assert next_try(retry, now=at(6, 3, 0), first=first) == at(6, 3, 12)
    assert next_try(retry, now=at(6, 3, 1), first=first) is None
    assert next_try(retry, now=at(6, 2, 12), first=first, not_after=at(6, 2, 20)) is None
    assert next_try(retry, now=at(6, 2, 12), first=first, not_after=at(6, 20, 8)) == at(6, 3, 0)


def test_without_jitter_a_mail_is_tried_eight_times_within_two_days() -> None:
    first = now = at(6, 1, 12)
    attempts = 1
    while (later := next_try(Retry(Reply("later", 451), wait(attempts)), now=now, first=first)) is not None:
        now, attempts = later, attempts + 1

    assert attempts == 9
    assert now - first <= GIVE_UP_AFTER


async def test_the_attempt_decides_how_long_to_wait(start: Start) -> None:
    async with opened(relay(start())) as transport:
        found = await transport.deliver(SENDER, "rcpt.451@x.example", RAW, ID, attempt=3, jitter=1.0)

    assert found == Retry(Reply.of(451, "as you asked"), timedelta(minutes=16.5))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("smtp://mail.example", Relay("mail.example", 25)),
        ("smtp://mail.example/", Relay("mail.example", 25)),
        ("smtp://u:p@mail.example", Relay("mail.example", 587, "required", "u", "p")),
        ("smtp://u%40x:p%2F%3A@mail.example:2525", Relay("mail.example", 2525, "required", "u@x", "p/:")),
        ("smtp://u:p@127.0.0.1:2525", Relay("127.0.0.1", 2525, "offered", "u", "p")),
        ("smtp://u:p@localhost:2525?starttls=never", Relay("localhost", 2525, "never", "u", "p")),
        ("smtp://[::1]:2525", Relay("::1", 2525)),
        (
            "smtp://mail.example?starttls=required&connections=8&ca=/a.pem",
            Relay("mail.example", 25, "required", connections=8, certificates="/a.pem"),
        ),
        ("smtps://u:p@mail.example", Relay("mail.example", 465, "tls", "u", "p")),
    ],
)
def test_a_setting_names_a_relay(text: str, wanted: Relay) -> None:
    found = parse_transport(text)

    assert isinstance(found, Smtp)
    assert found.relay == wanted


def test_a_setting_names_a_maildir() -> None:
    assert parse_transport("maildir:data/mail") == Maildir(Path("data/mail"))
    assert parse_transport("maildir:/var/mail") == Maildir(Path("/var/mail"))


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "a transport is one of maildir:PATH"),
        ("http://x.example", "a transport is one of maildir:PATH"),
        ("mail.example", "a transport is one of maildir:PATH"),
        ("maildir:", "path of a directory"),
        ("maildir:///var/mail", "path of a directory"),
        ("smtp://", "a transport is one of"),
        ("smtp://mail.example/path", "percent-encode"),
        ("smtp://u:top/secret@mail.example", "percent-encode"),
        ("smtp://u:top#secret@mail.example", "percent-encode"),
        ("smtp://mail.example:port", "from 1 to 65535"),
        ("smtp://u@mail.example", "a user and a password"),
        ("smtp://mail.example?tls=yes", "no option tls"),
        ("smtp://mail.example?starttls=yes", "required, offered, never"),
        ("smtp://u:top-secret@mail.example?starttls=never", "in the clear"),
        ("smtps://mail.example?starttls=never", "from the start"),
        ("smtp://mail.example?connections=0", "from 1 to 50"),
        ("smtp://mail.example?connections=many", "from 1 to 50"),
    ],
)
def test_a_wrong_setting_says_what_to_write_and_keeps_the_password(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=r".+") as refused:
        parse_transport(text)
    assert advice in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_relay_does_not_show_its_password() -> None:
    assert "secret" not in repr(replace(Relay("x", 25), password="secret"))
    assert "secret" not in repr(parse_transport("smtp://u:secret@localhost"))


def test_a_reply_reads_as_the_server_said_it() -> None:
    assert str(Reply.of(550, "5.1.1 no such user")) == "550 5.1.1 no such user"
    assert Reply.of(550, "no 5.1.1 here").status is None
    assert Reply.of(550, "5.1.10 null mx").status == "5.1.10"


def test_of_a_long_reply_its_beginning_is_kept() -> None:
    reply = Reply.of(550, "5.1.1 " + "x" * 30_000)
    assert (reply.status, len(reply.text)) == ("5.1.1", LONGEST_KEPT)

"""A client that floods: it is told, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from deploy.broker import RunningBroker, start_broker
from deploy.configuration import AUTHENTICATED_WITHIN
from deploy.identities import PARTNERS as PARTNERS_ACCOUNT
from deploy.identities import access
from deploy.streams import INTAKE_BYTES, LARGEST_INTAKE_MESSAGE, streams_of
from tests.deploy.conftest import PARTNERS, Visitor, visit


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A broker of these tests' own: they fill it."""
    with start_broker(tmp_path_factory.mktemp("flooded"), PARTNERS) as broker:
        yield broker


@pytest.fixture
async def flooding(broker: RunningBroker) -> AsyncIterator[Visitor]:
    async with visit(broker, "demo") as visitor:
        yield visitor


async def others_get_through(broker: RunningBroker) -> None:
    """Another partner sends, and whoever looks at the broker is answered, both at once."""
    async with visit(broker, "school-x") as other, visit(broker, "staff") as staff, asyncio.timeout(5):
        sent = await other.connection.jetstream().publish("intake.school-x.enrolment.request", b"{}")
        assert sent.stream == "INTAKE_SCHOOL_X"
        await staff.connection.jsm().stream_info("LOG_REGISTRATION")


def said_by_the_server(broker: RunningBroker) -> str:
    return (broker.directory / "nats.log").read_text()


async def test_a_partner_that_fills_its_intake_is_refused_to_its_face(broker: RunningBroker, flooding: Visitor) -> None:
    body = b"x" * (LARGEST_INTAKE_MESSAGE - 1024)

    async def flood() -> None:
        for _ in range(INTAKE_BYTES // len(body) + 1):
            await flooding.connection.jetstream(timeout=10).publish("intake.demo.enrolment.request", body)

    with pytest.raises(APIError, match="maximum bytes exceeded"):
        await flood()
    on_disk = sum(file.stat().st_size for file in broker.store.rglob("INTAKE_DEMO/**/*") if file.is_file())
    assert on_disk < 1.1 * INTAKE_BYTES
    await others_get_through(broker)

    async with visit(broker, "registration_intake") as registration:
        queue = await registration.connection.jetstream().pull_subscribe_bind("registration", stream="INTAKE_DEMO")
        for message in await queue.fetch(2, timeout=5):
            await message.ack_sync()
    again = await flooding.connection.jetstream().publish("intake.demo.enrolment.request", b"as soon as there is room")
    assert again.stream == "INTAKE_DEMO"


async def test_many_small_requests_are_limited_by_their_number(broker: RunningBroker) -> None:
    (intake, *_) = streams_of(PARTNERS_ACCOUNT, ["school-x"])
    assert intake.config.max_msgs == 200_000
    async with visit(broker, "topology_partners") as owner, visit(broker, "school-x") as partner:
        present = (await owner.connection.jsm().stream_info("INTAKE_SCHOOL_X")).state.messages
        await owner.connection.jsm().update_stream(replace(intake.config, max_msgs=present + 3))
        try:
            for number in range(3):
                await partner.connection.jetstream().publish(f"intake.school-x.enrolment.{number}", b"")
            with pytest.raises(APIError, match="maximum messages exceeded"):
                await partner.connection.jetstream().publish("intake.school-x.enrolment.4", b"")
        finally:
            await owner.connection.jsm().update_stream(intake.config)


async def test_a_request_that_no_message_of_the_broker_can_hold_ends_the_connection(
    broker: RunningBroker, flooding: Visitor
) -> None:
    # What nats-py keeps a client from, one of another language may try.
    flooding.connection._max_payload = 8 * 1024 * 1024
    await flooding.connection.publish("intake.demo.enrolment.request", b"x" * (1024 * 1024 + 1))
    await until_closed(flooding.connection)
    assert "maximum payload exceeded" in said_by_the_server(broker).lower()
    await others_get_through(broker)


async def test_a_partner_takes_its_own_places_alone(broker: RunningBroker) -> None:
    places = next(account for account in access(PARTNERS).accounts if account.name == "PARTNER_DEMO").connections
    async with contextlib.AsyncExitStack() as held:
        for _ in range(places):
            await held.enter_async_context(visit(broker, "demo"))
        one_more = Client()
        with pytest.raises(NatsError, match="maximum account active connections exceeded"):
            await one_more.connect(
                broker.url("demo"), allow_reconnect=False, max_reconnect_attempts=1, error_cb=_ignore
            )
        await one_more.close()
        await others_get_through(broker)
    async with visit(broker, "demo"):
        pass


async def test_subscriptions_without_end_cost_the_connection(broker: RunningBroker, flooding: Visitor) -> None:
    for number in range(150):
        await flooding.connection.subscribe(f"_INBOX_demo.{number}")
    await until_closed(flooding.connection)
    assert "maximum subscriptions exceeded" in said_by_the_server(broker)
    await others_get_through(broker)


async def test_whoever_connects_and_says_nothing_is_let_go(broker: RunningBroker) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", broker.port) for _ in range(20)]
    await others_get_through(broker)
    async with asyncio.timeout(AUTHENTICATED_WITHIN + 5):
        told = await asyncio.gather(*(reader.read() for reader, _ in silent))
    assert all(b"Authentication Timeout" in words for words in told)
    for _, writer in silent:
        writer.close()


async def test_nobody_is_promised_more_disk_than_an_account_has(broker: RunningBroker) -> None:
    """Also not whoever declares streams, by mistake: the server's own limit is never met by one account."""
    (intake, *_) = streams_of(PARTNERS_ACCOUNT, ["demo"])
    async with visit(broker, "topology_partners") as owner:
        greedy = replace(intake.config, name="GREEDY", subjects=["greedy"], max_bytes=50 * 1024**3)
        with pytest.raises(APIError, match="insufficient storage"):
            await owner.connection.jsm().add_stream(greedy)
        with pytest.raises(APIError, match="max bytes"):
            await owner.connection.jsm().add_stream(replace(greedy, max_bytes=-1))


async def until_closed(connection: Client) -> None:
    async with asyncio.timeout(10):
        while not connection.is_closed:  # noqa: ASYNC110 - nats-py offers no event
            await asyncio.sleep(0.02)


async def _ignore(_: Exception) -> None: ...

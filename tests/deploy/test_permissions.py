"""
A client that attacks each identity's limits, beside the paths that have to work.

Each denial is the broker's own permission violation, so it can fail; each right is used for real, so it can fail too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import AckPolicy
from nats.js.errors import APIError

from deploy.broker import RunningBroker
from services.chassis.relay import publish_batch
from tests.conftest import Broker
from tests.deploy.conftest import Visitor, visit

StateOf = Callable[[str], Any]


@pytest.fixture
async def partner(closed_broker: RunningBroker) -> AsyncIterator[Visitor]:
    async with visit(closed_broker, "demo") as visitor:
        yield visitor


@pytest.fixture
async def staff(closed_broker: RunningBroker) -> AsyncIterator[Visitor]:
    async with visit(closed_broker, "staff") as visitor:
        yield visitor


@pytest.fixture
async def registration(closed_broker: RunningBroker) -> AsyncIterator[Visitor]:
    async with visit(closed_broker, "registration") as visitor:
        yield visitor


@pytest.fixture
async def intake(closed_broker: RunningBroker) -> AsyncIterator[Visitor]:
    async with visit(closed_broker, "registration_intake") as visitor:
        yield visitor


@pytest.fixture
async def notifications(closed_broker: RunningBroker) -> AsyncIterator[Visitor]:
    async with visit(closed_broker, "notifications") as visitor:
        yield visitor


@pytest.fixture
async def reporting(closed_broker: RunningBroker) -> AsyncIterator[Visitor]:
    async with visit(closed_broker, "reporting") as visitor:
        yield visitor


async def read_in_order(connection: Client, stream: str, subject: str, count: int) -> list[Msg]:
    """The first messages of a stream by the consumer that the services use."""
    received: list[Msg] = []
    enough = asyncio.Event()

    async def take(message: Msg) -> None:
        received.append(message)
        if len(received) >= count:
            enough.set()

    subscription = await connection.jetstream().subscribe(subject, stream=stream, ordered_consumer=True, cb=take)
    await asyncio.wait_for(enough.wait(), 5)
    await subscription.unsubscribe()
    return received


class TestPartner:
    async def test_sends_a_request_and_reads_the_answer_with_a_plain_client(
        self, partner: Visitor, intake: Visitor
    ) -> None:
        sent = await partner.connection.jetstream().publish("intake.demo.enrolment.request", b'{"a":1}')
        assert sent.stream == "INTAKE_DEMO"
        queue = await intake.connection.jetstream().pull_subscribe_bind("registration", stream="INTAKE_DEMO")
        requests = await queue.fetch(10, timeout=5)
        assert requests[-1].data == b'{"a":1}'
        for request in requests:
            await request.ack_sync()

        await intake.connection.jetstream().publish("outcome.demo.accepted", b'{"b":2}')

        answers = await partner.connection.jetstream().pull_subscribe("outcome.demo.>", "demo", stream="OUTCOMES")
        received = await answers.fetch(10, timeout=5)
        assert received[-1].data == b'{"b":2}'
        for answer in received:
            await answer.ack_sync()
        assert (await answers.consumer_info()).num_ack_pending == 0

    async def test_may_send_a_message_that_registration_will_find_too_large(
        self, partner: Visitor, intake: Visitor
    ) -> None:
        sent = await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"x" * 300_000)
        queue = await intake.connection.jetstream().pull_subscribe_bind("registration", stream="INTAKE_DEMO")
        received = await queue.fetch(64, timeout=5)
        assert (received[-1].metadata.sequence.stream, len(received[-1].data)) == (sent.seq, 300_000)
        for request in received:
            await request.ack_sync()

    @pytest.mark.parametrize(
        "subject",
        [
            "intake.school-x.enrolment.request",
            "intake.demo",
            "outcome.demo.accepted",
            "outcome.school-x.accepted",
            "log.registration.gezinsaanpak-2023.enrolment.confirmed",
            "log.notifications._.mail.sent",
            "do.registration.enrolment.request",
            "ask.reporting.programme.get",
            "$KV.contacts.someone",
            "$JS.API.INFO",
            "$JS.API.STREAM.NAMES",
            "$JS.API.STREAM.INFO.INTAKE_DEMO",
            "$JS.API.STREAM.INFO.OUTCOMES",
            "$JS.API.STREAM.PURGE.OUTCOMES",
            "$JS.API.STREAM.DELETE.INTAKE_SCHOOL_X",
            "$JS.API.STREAM.MSG.GET.OUTCOMES",
            "$JS.API.DIRECT.GET.OUTCOMES",
            "$JS.API.DIRECT.GET.KV_contacts.$KV.contacts.someone",
            "$JS.API.CONSUMER.CREATE.OUTCOMES",
            "$JS.API.CONSUMER.CREATE.OUTCOMES.demo",
            "$JS.API.CONSUMER.CREATE.OUTCOMES.spy.outcome.school-x.>",
            "$JS.API.CONSUMER.DURABLE.CREATE.OUTCOMES.spy",
            "$JS.API.CONSUMER.INFO.OUTCOMES.school-x",
            "$JS.API.CONSUMER.MSG.NEXT.OUTCOMES.school-x",
            "$JS.API.CONSUMER.MSG.NEXT.INTAKE_SCHOOL_X.registration",
            "$JS.API.CONSUMER.DELETE.OUTCOMES.demo",
            "$JS.ACK.OUTCOMES.school-x.1.1.1.1.1",
            "$SYS.REQ.SERVER.PING",
            "_INBOX_registration.forged",
            "_R_.forged.answer",
        ],
    )
    async def test_may_not_publish(self, partner: Visitor, subject: str) -> None:
        assert await partner.is_refused(subject)

    @pytest.mark.parametrize(
        "subject",
        [">", "outcome.>", "outcome.demo.>", "intake.>", "log.>", "_INBOX_school_x.>", "_INBOX.>", "$JS.>", "_R_.>"],
    )
    async def test_may_not_listen(self, partner: Visitor, subject: str) -> None:
        assert await partner.is_deaf_to(subject)

    async def test_is_heard_on_its_own_prefix_alone(self, partner: Visitor) -> None:
        assert not await partner.is_refused("intake.demo.enrolment.request")
        assert not await partner.is_deaf_to("_INBOX_demo.anything")

    @pytest.mark.parametrize(
        ("forged", "stream"),
        [
            ("intake.school-x.enrolment.request", "INTAKE_SCHOOL_X"),
            ("outcome.school-x.accepted", "OUTCOMES"),
            ("log.registration.p.enrolment.confirmed", "LOG_REGISTRATION"),
            ("$KV.contacts.someone", "KV_contacts"),
        ],
    )
    async def test_cannot_have_the_broker_forge_a_message_through_the_reply_subject(
        self, partner: Visitor, intake: Visitor, state_of: StateOf, forged: str, stream: str
    ) -> None:
        """The server answers a publish, and hands out messages, on whatever reply subject the client named."""
        await intake.connection.jetstream().publish("outcome.demo.accepted", b"{}")
        before = (await state_of(stream)).last_seq

        await partner.connection.publish("intake.demo.enrolment.request", b"{}", reply=forged)
        await partner.connection.publish("$JS.API.CONSUMER.MSG.NEXT.OUTCOMES.demo", b'{"batch":1}', reply=forged)
        await partner.connection.publish("$JS.API.CONSUMER.INFO.OUTCOMES.demo", b"", reply=forged)
        # Answered after those above, as they came over the same connection.
        await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"{}")

        assert (await state_of(stream)).last_seq == before

    async def test_of_one_account_could_have_forged_so(self, intake: Visitor, state_of: StateOf) -> None:
        """The proof that the attack above is real: from within the streams' account it works."""
        before = (await state_of("OUTCOMES")).last_seq
        await intake.connection.publish("outcome.demo.accepted", b"{}", reply="outcome.school-x.accepted")
        await intake.connection.jetstream().publish("outcome.demo.accepted", b"{}")
        assert (await state_of("OUTCOMES")).last_seq == before + 3

    async def test_cannot_swallow_the_request_of_another_by_using_its_message_id(
        self, closed_broker: RunningBroker, partner: Visitor
    ) -> None:
        header = {"Nats-Msg-Id": "form-7741"}
        mine = await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"1", headers=header)
        again = await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"1", headers=header)
        async with visit(closed_broker, "school-x") as other:
            theirs = await other.connection.jetstream().publish(
                "intake.school-x.enrolment.request", b"2", headers=header
            )
        assert (bool(mine.duplicate), bool(again.duplicate), bool(theirs.duplicate)) == (False, True, False)
        assert theirs.stream == "INTAKE_SCHOOL_X"

    async def test_cannot_drop_its_requests_of_before_by_a_roll_up(self, partner: Visitor) -> None:
        with pytest.raises(APIError, match="rollup"):
            await partner.connection.jetstream().publish(
                "intake.demo.enrolment.request", b"{}", headers={"Nats-Rollup": "all"}
            )

    async def test_reads_no_answer_to_another(
        self, closed_broker: RunningBroker, partner: Visitor, intake: Visitor
    ) -> None:
        await intake.connection.jetstream().publish("outcome.school-x.refused", b"for school-x")
        await intake.connection.jetstream().publish("outcome.demo.refused", b"for demo")
        mine = await partner.connection.jetstream().pull_subscribe_bind("demo", stream="OUTCOMES")
        received: list[Msg] = []
        while not received or received[-1].data != b"for demo":
            received += await mine.fetch(100, timeout=5)
            for message in received:
                await message.ack()
        assert {message.subject.split(".")[1] for message in received} == {"demo"}
        async with visit(closed_broker, "school-x") as other:
            theirs = await other.connection.jetstream().pull_subscribe_bind("school-x", stream="OUTCOMES")
            assert b"for school-x" in [message.data for message in await theirs.fetch(100, timeout=5)]


class TestStaff:
    async def test_commands_and_asks_each_service(
        self, staff: Visitor, registration: Visitor, notifications: Visitor, reporting: Visitor
    ) -> None:
        for service, visitor in (
            ("registration", registration),
            ("notifications", notifications),
            ("reporting", reporting),
        ):

            async def answer(message: Msg, visitor: Visitor = visitor) -> None:
                await visitor.connection.publish(message.reply, message.subject.encode())

            await visitor.connection.subscribe(f"do.{service}.>", cb=answer)
            await visitor.connection.subscribe(f"ask.{service}.>", cb=answer)
            await visitor.connection.flush()
            for subject in (f"do.{service}.programme.publish", f"ask.{service}.programme.get"):
                assert (await staff.connection.request(subject, b"{}", timeout=5)).data == subject.encode()

    async def test_reads_the_log_message_by_message_and_in_batches(self, staff: Visitor, registration: Visitor) -> None:
        first = await registration.connection.jetstream().publish("log.registration.p.programme.published", b"1")
        await registration.connection.jetstream().publish("log.registration.p.programme.changed", b"2")

        info = await staff.connection.jsm().stream_info("LOG_REGISTRATION")
        assert info.state.last_seq >= first.seq + 1
        one = await staff.connection.jsm().get_msg("LOG_REGISTRATION", seq=first.seq, direct=True)
        assert (one.subject, one.data) == ("log.registration.p.programme.published", b"1")

        inbox = staff.connection.new_inbox()
        subscription = await staff.connection.subscribe(inbox)
        ask = json.dumps({"seq": first.seq, "batch": 2}).encode()
        await staff.connection.publish("$JS.API.DIRECT.GET.LOG_REGISTRATION", ask, reply=inbox)
        batch = [await subscription.next_msg(timeout=5) for _ in range(3)]
        assert [message.data for message in batch] == [b"1", b"2", b""]
        assert batch[-1].headers is not None
        assert batch[-1].headers["Status"] == "204"

    @pytest.mark.parametrize(
        "subject",
        [
            "log.registration.p.enrolment.confirmed",
            "log.notifications._.mail.sent",
            "intake.demo.enrolment.request",
            "outcome.demo.accepted",
            "$KV.contacts.someone",
            "$JS.API.DIRECT.GET.KV_contacts",
            "$JS.API.DIRECT.GET.KV_contacts.$KV.contacts.someone",
            "$JS.API.STREAM.MSG.GET.KV_contacts",
            "$JS.API.STREAM.MSG.DELETE.KV_contacts",
            "$JS.API.STREAM.MSG.GET.LOG_REGISTRATION",
            "$JS.API.STREAM.INFO.KV_contacts",
            "$JS.API.STREAM.PURGE.LOG_REGISTRATION",
            "$JS.API.STREAM.DELETE.LOG_REGISTRATION",
            "$JS.API.STREAM.MSG.DELETE.LOG_REGISTRATION",
            "$JS.API.STREAM.UPDATE.LOG_REGISTRATION",
            "$JS.API.CONSUMER.CREATE.LOG_REGISTRATION",
            "$JS.API.CONSUMER.CREATE.LOG_REGISTRATION.spy",
            "_R_.forged",
        ],
    )
    async def test_may_not_publish(self, staff: Visitor, subject: str) -> None:
        assert await staff.is_refused(subject)

    @pytest.mark.parametrize("subject", ["log.>", "do.>", "$KV.>", "_INBOX_registration.>"])
    async def test_may_not_listen(self, staff: Visitor, subject: str) -> None:
        assert await staff.is_deaf_to(subject)

    async def test_cannot_forge_a_fact_through_the_reply_subject(
        self, staff: Visitor, registration: Visitor, state_of: StateOf
    ) -> None:
        """Neither the broker nor a service that answers without looking writes to where the asker points."""
        log = registration.connection.jetstream()
        await log.publish("log.registration.p.programme.published", b"1")
        answered = asyncio.Event()
        replies: list[str] = []

        async def answer_anywhere(message: Msg) -> None:
            replies.append(message.reply)
            await registration.connection.publish(message.reply, b"forged")
            answered.set()

        await registration.connection.subscribe("do.registration.careless.answer", cb=answer_anywhere)
        await registration.connection.flush()
        before = (await state_of("LOG_REGISTRATION")).last_seq
        forged = "log.registration.p.enrolment.confirmed"

        await staff.connection.publish("do.registration.careless.answer", b"{}", reply=forged)
        await staff.connection.publish("$JS.API.DIRECT.GET.LOG_REGISTRATION", b'{"seq":1}', reply=forged)
        await staff.connection.publish("$JS.API.STREAM.INFO.LOG_REGISTRATION", b"", reply=forged)
        await staff.connection.jsm().stream_info("LOG_REGISTRATION")
        await asyncio.wait_for(answered.wait(), 5)
        await registration.connection.flush()

        assert [reply.split(".")[0] for reply in replies] == ["_R_"]
        assert (await log.publish("log.registration.p.programme.changed", b"2")).seq == before + 1


class TestRegistration:
    async def test_writes_its_log_and_the_contacts(self, registration: Visitor) -> None:
        log = await registration.connection.jetstream().publish("log.registration.p.enrolment.confirmed", b"{}")
        assert log.stream == "LOG_REGISTRATION"
        contacts = await registration.connection.jetstream().key_value("contacts")
        await contacts.put("person-1", b'{"name":"Noor"}')
        assert (await contacts.get("person-1")).value == b'{"name":"Noor"}'
        await contacts.purge("person-1")

    async def test_asks_how_far_its_log_is(self, registration: Visitor) -> None:
        sent = await registration.connection.jetstream().publish("log.registration.p.enrolment.confirmed", b"{}")
        info = await registration.connection.jsm().stream_info("LOG_REGISTRATION")
        assert info.state.last_seq == sent.seq
        message = await registration.connection.jsm().get_msg("LOG_REGISTRATION", seq=sent.seq)
        assert message.data == b"{}"

    async def test_erases_one_revision_of_a_contact(self, registration: Visitor) -> None:
        jetstream = registration.connection.jetstream()
        first = await jetstream.publish("$KV.contacts.to-be-erased", b"1")
        assert await jetstream.delete_msg("KV_contacts", first.seq)

    @pytest.mark.parametrize(
        "subject",
        [
            "log.notifications._.mail.sent",
            "do.notifications.mail.send",
            "$JS.API.STREAM.UPDATE.LOG_REGISTRATION",
            "$JS.API.STREAM.PURGE.LOG_REGISTRATION",
            "$JS.API.STREAM.DELETE.LOG_REGISTRATION",
            "$JS.API.STREAM.DELETE.KV_contacts",
            "$JS.API.STREAM.MSG.DELETE.LOG_REGISTRATION",
            "$JS.API.STREAM.MSG.DELETE.OUTCOMES",
            "$JS.API.CONSUMER.CREATE.KV_contacts",
            "$JS.API.CONSUMER.CREATE.LOG_REGISTRATION",
        ],
    )
    async def test_may_not_publish(self, registration: Visitor, subject: str) -> None:
        assert await registration.is_refused(subject)

    @pytest.mark.parametrize(
        "subject",
        [
            "intake.demo.enrolment.request",
            "$JS.API.STREAM.PURGE.INTAKE_DEMO",
            "$JS.API.STREAM.MSG.GET.INTAKE_DEMO",
            "$JS.API.CONSUMER.MSG.NEXT.OUTCOMES.demo",
            "$JS.API.CONSUMER.CREATE.INTAKE_DEMO.registration",
            "$JS.API.CONSUMER.DELETE.INTAKE_DEMO.registration",
        ],
    )
    async def test_may_not_publish_among_the_partners(self, intake: Visitor, subject: str) -> None:
        assert await intake.is_refused(subject)

    @pytest.mark.parametrize(
        ("subject", "stream"), [("log.registration.p.a.b", "LOG_REGISTRATION"), ("$KV.contacts.x", "KV_contacts")]
    )
    async def test_writes_in_atomic_batches(
        self, registration: Visitor, state_of: StateOf, subject: str, stream: str
    ) -> None:
        before = (await state_of(stream)).last_seq
        await publish_batch(registration.connection, [(subject, b"{}", {}) for _ in range(3)])
        assert (await state_of(stream)).last_seq == before + 3


class TestNotifications:
    async def test_follows_the_log_and_looks_contacts_up(self, notifications: Visitor, registration: Visitor) -> None:
        await registration.connection.jetstream().publish("log.registration.p.enrolment.confirmed", b"{}")
        contacts = await registration.connection.jetstream().key_value("contacts")
        await contacts.put("person-2", b'{"name":"Sam"}')

        received = await read_in_order(notifications.connection, "LOG_REGISTRATION", "log.registration.>", 1)
        assert received[0].metadata.sequence.stream == 1
        inbox = notifications.connection.new_inbox()
        subscription = await notifications.connection.subscribe(inbox)
        ask = b'{"multi_last":["$KV.contacts.person-2","$KV.contacts.nobody"]}'
        await notifications.connection.publish("$JS.API.DIRECT.GET.KV_contacts", ask, reply=inbox)
        person, end = [await subscription.next_msg(timeout=5) for _ in range(2)]
        assert person.data == b'{"name":"Sam"}'
        assert (end.headers or {})["Status"] == "204"

        # As the release before this asks, which may run beside today's others.
        one = await notifications.connection.request("$JS.API.DIRECT.GET.KV_contacts.$KV.contacts.person-2", timeout=5)
        assert one.data == b'{"name":"Sam"}'

    async def test_writes_its_own_log(self, notifications: Visitor) -> None:
        sent = await notifications.connection.jetstream().publish("log.notifications._.mail.sent", b"{}")
        assert sent.stream == "LOG_NOTIFICATIONS"

    @pytest.mark.parametrize(
        "subject",
        [
            "log.registration.p.enrolment.confirmed",
            "$KV.contacts.person-2",
            "$JS.API.DIRECT.GET.LOG_REGISTRATION",
            "$JS.API.STREAM.MSG.GET.KV_contacts",
            "do.registration.enrolment.request",
            "intake.demo.enrolment.request",
            "$JS.API.STREAM.PURGE.KV_contacts",
            "$JS.API.STREAM.MSG.DELETE.KV_contacts",
            "$JS.API.STREAM.DELETE.LOG_NOTIFICATIONS",
            "$JS.API.CONSUMER.CREATE.KV_contacts",
            # It decides what is in this stream: a consumer on it would send its own words anywhere.
            "$JS.API.CONSUMER.CREATE.LOG_NOTIFICATIONS",
            "$JS.API.CONSUMER.CREATE.LOG_NOTIFICATIONS.spy",
            "$JS.API.CONSUMER.CREATE.LOG_REGISTRATION.durable",
            "$JS.API.CONSUMER.DELETE.LOG_REGISTRATION.of-reporting",
        ],
    )
    async def test_may_not_publish(self, notifications: Visitor, subject: str) -> None:
        assert await notifications.is_refused(subject)


class TestReporting:
    async def test_follows_both_logs(self, reporting: Visitor, registration: Visitor, notifications: Visitor) -> None:
        await registration.connection.jetstream().publish("log.registration.p.enrolment.confirmed", b"{}")
        await notifications.connection.jetstream().publish("log.notifications._.mail.sent", b"{}")
        assert await read_in_order(reporting.connection, "LOG_REGISTRATION", "log.registration.>", 1)
        assert await read_in_order(reporting.connection, "LOG_NOTIFICATIONS", "log.notifications.>", 1)

    @pytest.mark.parametrize(
        "subject",
        [
            "$KV.contacts.person-1",
            "$JS.API.STREAM.INFO.KV_contacts",
            "$JS.API.STREAM.MSG.GET.KV_contacts",
            "$JS.API.STREAM.MSG.DELETE.KV_contacts",
            "$JS.API.DIRECT.GET.KV_contacts",
            "$JS.API.DIRECT.GET.KV_contacts.$KV.contacts.person-1",
            "$JS.API.CONSUMER.CREATE.KV_contacts",
            "$JS.API.CONSUMER.CREATE.KV_contacts.spy.$KV.contacts.>",
            "$JS.API.CONSUMER.DURABLE.CREATE.KV_contacts.spy",
            "$JS.API.CONSUMER.MSG.NEXT.KV_contacts.spy",
            "$JS.API.STREAM.CREATE.COPY",
            "$JS.API.STREAM.UPDATE.LOG_REGISTRATION",
            "$JS.API.STREAM.SNAPSHOT.KV_contacts",
            "$JS.API.STREAM.DELETE.KV_contacts",
            "log.registration.p.enrolment.confirmed",
            "log.notifications._.mail.sent",
            "do.registration.person.erase",
        ],
    )
    async def test_may_not_publish(self, reporting: Visitor, subject: str) -> None:
        assert await reporting.is_refused(subject)

    @pytest.mark.parametrize("subject", ["$KV.>", "$KV.contacts.>", ">", "_INBOX_notifications.>", "log.>"])
    async def test_may_not_listen(self, reporting: Visitor, subject: str) -> None:
        assert await reporting.is_deaf_to(subject)

    async def test_cannot_name_another_stream_in_the_body_than_in_the_subject(self, reporting: Visitor) -> None:
        ask = {
            "stream_name": "KV_contacts",
            "config": {"deliver_subject": "_INBOX_reporting.spy", "ack_policy": "none"},
        }
        reply = await reporting.connection.request(
            "$JS.API.CONSUMER.CREATE.LOG_REGISTRATION", json.dumps(ask).encode(), timeout=5
        )
        assert "error" in json.loads(reply.data)


class TestReaders:
    """Notifications and reporting, each as if it were broken into: may it write where it only reads?"""

    @pytest.fixture(params=["notifications", "reporting"])
    async def reader(self, request: pytest.FixtureRequest, closed_broker: RunningBroker) -> AsyncIterator[Visitor]:
        async with visit(closed_broker, request.param) as visitor:
            yield visitor

    async def _point_a_consumer_at(self, reader: Visitor, deliver_subject: str, **more: object) -> dict[str, Any]:
        ask = {
            "stream_name": "LOG_REGISTRATION",
            "config": {"deliver_subject": deliver_subject, "ack_policy": "none", "idle_heartbeat": 10**8, **more},
        }
        reply = await reader.connection.request(
            "$JS.API.CONSUMER.CREATE.LOG_REGISTRATION", json.dumps(ask).encode(), timeout=5
        )
        result: dict[str, Any] = json.loads(reply.data)
        return result

    async def _follows(self, reader: Visitor) -> None:
        """The control: a consumer pointed at where the reader listens delivers."""
        inbox = reader.connection.new_inbox()
        subscription = await reader.connection.subscribe(inbox)
        assert "error" not in await self._point_a_consumer_at(reader, inbox)
        assert (await subscription.next_msg(timeout=5)).subject.startswith("log.registration.")

    @pytest.mark.parametrize(
        ("forged", "stream"),
        [
            ("log.registration.p.enrolment.confirmed", "LOG_REGISTRATION"),
            ("log.notifications._.mail.sent", "LOG_NOTIFICATIONS"),
            ("$KV.contacts.someone", "KV_contacts"),
        ],
    )
    async def test_cannot_have_the_broker_write_through_the_reply_subject(
        self, reader: Visitor, state_of: StateOf, forged: str, stream: str
    ) -> None:
        before = (await state_of(stream)).last_seq
        for subject in ("$JS.API.STREAM.INFO.LOG_REGISTRATION", "$JS.API.CONSUMER.CREATE.LOG_REGISTRATION"):
            await reader.connection.publish(subject, b"", reply=forged)
        await reader.connection.jsm().stream_info("LOG_REGISTRATION")
        assert (await state_of(stream)).last_seq == before

    async def test_could_have_done_so_where_the_streams_are(
        self, closed_broker: RunningBroker, state_of: StateOf
    ) -> None:
        """The proof that the attack above is real."""
        before = (await state_of("LOG_NOTIFICATIONS")).last_seq
        async with visit(closed_broker, "topology") as owner:
            await owner.connection.publish("$JS.API.STREAM.INFO.KV_contacts", b"", reply="log.notifications.a.b.c")
            await owner.connection.jsm().stream_info("KV_contacts")
        assert (await state_of("LOG_NOTIFICATIONS")).last_seq == before + 1

    @pytest.mark.parametrize(
        ("forged", "stream"),
        [
            ("log.registration.p.enrolment.confirmed", "LOG_REGISTRATION"),
            ("log.notifications._.mail.sent", "LOG_NOTIFICATIONS"),
            ("$KV.contacts.someone", "KV_contacts"),
            ("$JS.API.STREAM.PURGE.KV_contacts", "KV_contacts"),
            ("$JS.API.STREAM.DELETE.KV_contacts", "KV_contacts"),
        ],
    )
    async def test_cannot_write_by_pointing_a_consumer_at_a_stream(
        self, reader: Visitor, registration: Visitor, state_of: StateOf, forged: str, stream: str
    ) -> None:
        log = registration.connection.jetstream()
        await log.publish("log.registration.p.enrolment.confirmed", b"{}")
        await log.publish("$KV.contacts.someone", b"{}")
        before = (await state_of(stream)).last_seq, (await state_of(stream)).messages

        for more in ({}, {"headers_only": True}):
            await self._point_a_consumer_at(reader, forged, **more)
        await self._follows(reader)

        assert ((await state_of(stream)).last_seq, (await state_of(stream)).messages) == before

    @pytest.mark.parametrize("headers_only", [False, True])
    async def test_cannot_command_a_service_by_pointing_a_consumer_at_it(
        self, reader: Visitor, registration: Visitor, staff: Visitor, headers_only: bool
    ) -> None:
        """An empty message would be an argument-less command."""
        heard: list[bytes] = []

        async def answer(message: Msg) -> None:
            heard.append(message.data)
            if message.reply.startswith("_R_"):
                await registration.connection.publish(message.reply, b"done")

        await registration.connection.subscribe("do.registration.retention.run", cb=answer)
        await registration.connection.jetstream().publish("log.registration.p.enrolment.confirmed", b"{}")

        await self._point_a_consumer_at(reader, "do.registration.retention.run", headers_only=headers_only)
        await self._follows(reader)

        await staff.connection.request("do.registration.retention.run", b"of staff", timeout=5)
        assert heard == [b"of staff"]


async def test_in_a_shared_account_a_consumer_commands_whoever_listens_there(broker: Broker) -> None:
    """Why the streams have accounts to themselves: on a plain server a heartbeat arrives as an empty command."""
    connection = await nats.connect(broker.url)
    await connection.jsm().add_stream(name="LOG", subjects=["log.>"])
    service = await connection.subscribe("do.registration.retention.run")
    await connection.jsm().add_consumer(
        "LOG", deliver_subject="do.registration.retention.run", ack_policy=AckPolicy.NONE, idle_heartbeat=0.1
    )
    assert (await service.next_msg(timeout=5)).data == b""
    await connection.close()


async def test_nobody_comes_in_without_a_password(closed_broker: RunningBroker) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", closed_broker.port)
    writer.write(b"CONNECT {}\r\nPING\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    assert b"-ERR 'Authorization Violation'" in answer


class TestMonitor:
    """Sees how the broker is; sees no message, and changes nothing."""

    @pytest.fixture
    async def monitor(self, closed_broker: RunningBroker) -> AsyncIterator[Visitor]:
        async with visit(closed_broker, "monitor") as visitor:
            yield visitor

    @pytest.mark.parametrize("page", ["", ".HEALTHZ", ".VARZ", ".CONNZ", ".JSZ", ".ROUTEZ"])
    async def test_reads_how_each_server_is(self, monitor: Visitor, page: str) -> None:
        reply = await monitor.connection.request(f"$SYS.REQ.SERVER.PING{page}", b"", timeout=5)
        assert json.loads(reply.data)["server"]["name"] == "deelname"

    async def test_reads_how_far_every_stream_and_consumer_is(self, monitor: Visitor) -> None:
        ask = json.dumps({"accounts": True, "streams": True, "consumer": True}).encode()
        page = json.loads((await monitor.connection.request("$SYS.REQ.SERVER.PING.JSZ", ask, timeout=5)).data)["data"]
        streams = {stream["name"]: stream for account in page["account_details"] for stream in account["stream_detail"]}
        assert {"LOG_REGISTRATION", "LOG_NOTIFICATIONS", "KV_contacts", "INTAKE_DEMO", "OUTCOMES"} <= set(streams)
        assert "messages" in streams["INTAKE_DEMO"]["state"]
        assert [one["name"] for one in streams["INTAKE_DEMO"]["consumer_detail"]] == ["registration"]

    @pytest.mark.parametrize(
        "subject",
        [
            "$SYS.REQ.SERVER.someone.RELOAD",
            "$SYS.REQ.SERVER.PING.KICK",
            "$SYS.REQ.SERVER.someone.KICK",
            "$SYS.REQ.SERVER.someone.LDM",
            "$SYS.REQ.SERVER.PING.SUBSZ",
            "$SYS.REQ.ACCOUNT.APP.CONNZ",
            "$SYS.REQ.CLAIMS.UPDATE",
            "$SYS.REQ.CLAIMS.DELETE",
            "$JS.API.STREAM.LIST",
            "$JS.API.STREAM.INFO.KV_contacts",
            "$JS.API.STREAM.MSG.GET.KV_contacts",
            "$JS.API.STREAM.DELETE.KV_contacts",
            "$JS.API.ACCOUNT.PURGE.APP",
            "log.registration.p.enrolment.confirmed",
            "do.registration.person.erase",
        ],
    )
    async def test_may_not_publish(self, monitor: Visitor, subject: str) -> None:
        assert await monitor.is_refused(subject)

    @pytest.mark.parametrize("subject", [">", "$SYS.>", "$SYS.ACCOUNT.*.CONNECT", "log.>", "_INBOX_staff.>"])
    async def test_may_not_listen(self, monitor: Visitor, subject: str) -> None:
        assert await monitor.is_deaf_to(subject)

    @pytest.mark.parametrize(
        ("forged", "stream"),
        [("log.registration.p.enrolment.confirmed", "LOG_REGISTRATION"), ("outcome.demo.accepted", "OUTCOMES")],
    )
    async def test_cannot_have_the_broker_forge_a_message_through_the_reply_subject(
        self, monitor: Visitor, state_of: StateOf, forged: str, stream: str
    ) -> None:
        before = (await state_of(stream)).last_seq
        for page in ("", ".JSZ", ".CONNZ"):
            await monitor.connection.publish(f"$SYS.REQ.SERVER.PING{page}", b"", reply=forged)
        await monitor.connection.request("$SYS.REQ.SERVER.PING.JSZ", b"", timeout=5)
        assert (await state_of(stream)).last_seq == before


class TestOperator:
    @pytest.fixture
    async def operator(self, closed_broker: RunningBroker) -> AsyncIterator[Visitor]:
        async with visit(closed_broker, "operator") as visitor:
            yield visitor

    @pytest.mark.parametrize(
        "subject",
        [
            "$SYS.REQ.SERVER.someone.KICK",
            "$SYS.REQ.SERVER.someone.LDM",
            "$SYS.REQ.SERVER.PING.CONNZ",
            "$SYS.REQ.ACCOUNT.APP.INFO",
            "$SYS.REQ.CLAIMS.UPDATE",
            "$JS.API.STREAM.DELETE.KV_contacts",
            "log.registration.p.enrolment.confirmed",
            "do.registration.person.erase",
        ],
    )
    async def test_may_not_publish(self, operator: Visitor, subject: str) -> None:
        assert await operator.is_refused(subject)

    @pytest.mark.parametrize("subject", [">", "$SYS.>", "log.>"])
    async def test_may_not_listen(self, operator: Visitor, subject: str) -> None:
        assert await operator.is_deaf_to(subject)


class TestWhoDeclaresStreams:
    @pytest.mark.parametrize(
        ("name", "subject"),
        [
            ("topology", "$JS.API.STREAM.DELETE.LOG_REGISTRATION"),
            ("topology", "$JS.API.STREAM.PURGE.LOG_REGISTRATION"),
            ("topology", "$JS.API.STREAM.MSG.GET.KV_contacts"),
            ("topology", "$JS.API.DIRECT.GET.KV_contacts.$KV.contacts.someone"),
            ("topology", "$JS.API.CONSUMER.CREATE.KV_contacts"),
            ("topology", "$KV.contacts.someone"),
            ("topology_partners", "$JS.API.STREAM.DELETE.OUTCOMES"),
            ("topology_partners", "$JS.API.STREAM.PURGE.INTAKE_DEMO"),
            ("topology_partners", "$JS.API.STREAM.MSG.GET.INTAKE_DEMO"),
            ("topology_partners", "$JS.API.CONSUMER.MSG.NEXT.INTAKE_DEMO.registration"),
            ("topology_partners", "intake.demo.enrolment.request"),
            ("topology_partners", "outcome.demo.accepted"),
        ],
    )
    async def test_reads_and_writes_nothing_in_them(
        self, closed_broker: RunningBroker, name: str, subject: str
    ) -> None:
        async with visit(closed_broker, name) as visitor:
            assert await visitor.is_refused(subject)


class TestPersonalData:
    """What everybody but registration and notifications can get out of the broker holds nothing about a person."""

    @pytest.mark.parametrize("name", ["reporting", "staff", "monitor", "operator", "demo", "registration_intake"])
    @pytest.mark.parametrize(
        "subject",
        [
            "$JS.API.DIRECT.GET.KV_contacts",
            "$JS.API.DIRECT.GET.KV_contacts.$KV.contacts.person-9",
            "$JS.API.STREAM.MSG.GET.KV_contacts",
            "$JS.API.STREAM.INFO.KV_contacts",
            "$JS.API.STREAM.SNAPSHOT.KV_contacts",
            "$JS.API.CONSUMER.CREATE.KV_contacts",
            "$JS.API.CONSUMER.CREATE.KV_contacts.watch.$KV.contacts.>",
            "$JS.API.CONSUMER.DURABLE.CREATE.KV_contacts.watch",
            "$JS.API.CONSUMER.MSG.NEXT.KV_contacts.watch",
            "$JS.API.STREAM.MSG.GET.INTAKE_DEMO",
            "$JS.API.DIRECT.GET.INTAKE_DEMO",
            "$JS.API.CONSUMER.CREATE.INTAKE_DEMO",
            "application.stream.info.kv_contacts",
            "application.consumer.create.kv_contacts",
        ],
    )
    async def test_is_denied_by_every_way_to_it(self, closed_broker: RunningBroker, name: str, subject: str) -> None:
        async with visit(closed_broker, name) as visitor:
            assert await visitor.is_refused(subject)

    async def test_is_not_given_out_by_the_clients_own_ways(
        self, closed_broker: RunningBroker, reporting: Visitor, registration: Visitor
    ) -> None:
        """With the calls of the library, as a program that was broken into would make them."""
        contacts = await registration.connection.jetstream().key_value("contacts")
        await contacts.put("person-9", b'{"name":"Noor"}')
        stream = reporting.connection.jetstream(timeout=0.5)
        with pytest.raises(NatsTimeout):
            await stream.key_value("contacts")
        with pytest.raises(NatsTimeout):
            await stream.subscribe("$KV.contacts.>", stream="KV_contacts", ordered_consumer=True)
        with pytest.raises(NatsTimeout):
            await reporting.connection.jsm(timeout=0.5).get_last_msg(
                "KV_contacts", "$KV.contacts.person-9", direct=True
            )

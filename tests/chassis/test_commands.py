from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import BaseModel, Field

from contracts.problem import ERROR_CODE_HEADER, ERROR_HEADER, Problem, ProblemError
from services.chassis.broker import connect, faststream_broker
from services.chassis.commands import Call, Route, serve
from tests.chassis.conftest import until
from tests.conftest import Broker


class Question(BaseModel):
    number: int = Field(lt=100)


class Answer(BaseModel):
    double: int


class Service:
    """One command whose calls wait in a queue for a writer, and queries that answer, refuse and fail."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Call] = asyncio.Queue()

    def request(self, call: Call) -> None:
        call.parse(Question)
        self.queue.put_nowait(call)

    async def double(self, call: Call) -> Answer:
        return Answer(double=call.parse(Question).number * 2)

    async def refuse(self, call: Call) -> None:
        raise ProblemError(Problem(title="Full", status=409, detail="No unit is left."))

    async def fail(self, call: Call) -> None:
        raise RuntimeError("secret of the machine room")

    def table(self) -> list[Route]:
        return [
            Route("do.test.thing.request", Question, Answer, self.request, "Ask for a thing."),
            Route("ask.test.number.double", Question, Answer, self.double, "Double a number."),
            Route("ask.test.number.refuse", Question, Answer, self.refuse, "Refuse."),
            Route("ask.test.number.fail", Question, Answer, self.fail, "Fail."),
        ]


@pytest.fixture
async def service(broker: Broker) -> AsyncIterator[Service]:
    service = Service()
    faststream = faststream_broker(broker.url, "service")
    serve(faststream, service.table(), queue="test")
    await faststream.start()
    yield service
    await faststream.stop()


def _problem(message: Msg) -> Problem:
    problem = Problem.model_validate_json(message.data)
    assert message.headers == {ERROR_HEADER: problem.title, ERROR_CODE_HEADER: str(problem.status)}
    return problem


async def test_a_query_is_answered_with_what_its_handler_returns(service: Service, connection: Client) -> None:
    answer = await connection.request("ask.test.number.double", b'{"number": 21}', timeout=2)
    assert json.loads(answer.data) == {"double": 42}
    assert answer.headers is None


async def test_a_command_holds_no_worker_until_it_is_answered(service: Service, connection: Client) -> None:
    requests = [
        asyncio.create_task(connection.request("do.test.thing.request", b'{"number": %d}' % number, timeout=5))
        for number in range(50)
    ]
    # All fifty wait in the queue although none has been answered.
    calls = [await asyncio.wait_for(service.queue.get(), 2) for _ in requests]
    for call in reversed(calls):
        call.reply(call.body)
    answers = await asyncio.gather(*requests)
    assert [json.loads(answer.data)["number"] for answer in answers] == list(range(50))


async def test_a_writer_refuses_with_a_problem(service: Service, connection: Client) -> None:
    request = asyncio.create_task(connection.request("do.test.thing.request", b'{"number": 1}', timeout=2))
    call = await asyncio.wait_for(service.queue.get(), 2)
    call.fail(Problem(title="Try again", status=503))
    assert _problem(await request).status == 503


async def test_a_refusal_names_every_field_and_repeats_no_value(service: Service, connection: Client) -> None:
    answer = await connection.request("do.test.thing.request", b'{"number": "Noor de Wit"}', timeout=2)
    problem = _problem(answer)
    assert problem.status == 422
    assert [fault.field for fault in problem.errors] == ["number"]
    assert b"Noor" not in answer.data


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff\xfe", b"[1]", b"null"])
async def test_a_body_that_is_no_request_is_refused(service: Service, connection: Client, body: bytes) -> None:
    assert _problem(await connection.request("ask.test.number.double", body, timeout=2)).status == 422


async def test_a_handlers_problem_is_the_answer(service: Service, connection: Client) -> None:
    problem = _problem(await connection.request("ask.test.number.refuse", b"{}", timeout=2))
    assert (problem.status, problem.detail) == (409, "No unit is left.")


async def test_a_handlers_exception_is_told_without_internals(service: Service, connection: Client) -> None:
    answer = await connection.request("ask.test.number.fail", b'{"number": 1}', timeout=2)
    assert _problem(answer).status == 500
    assert b"secret" not in answer.data
    assert b"RuntimeError" not in answer.data
    # And the service goes on.
    assert (await connection.request("ask.test.number.double", b'{"number": 1}', timeout=2)).data == b'{"double":2}'


@pytest.mark.parametrize("subject", ["ask.test.number.double", "ask.test.number.fail"])
async def test_a_forged_reply_subject_gets_no_reply(service: Service, connection: Client, subject: str) -> None:
    forged = await connection.subscribe("log.>")
    await connection.publish(subject, b'{"number": 1}', reply="log.registration.p.enrolment.confirmed")
    await connection.publish(subject, b'{"number": 1}', headers={"reply_to": "log.registration.p.enrolment.confirmed"})
    # Handlers of one subject run one after the other: when this is answered, those two are over and done with.
    await connection.request(subject, b'{"number": 1}', timeout=2)
    await connection.flush()
    assert forged.pending_msgs == 0


async def test_of_several_replicas_one_answers(service: Service, broker: Broker, connection: Client) -> None:
    other = Service()
    faststream = faststream_broker(broker.url, "service")
    serve(faststream, other.table(), queue="test")
    await faststream.start()
    for _ in range(20):
        await connection.publish("do.test.thing.request", b'{"number": 1}', reply=connection.new_inbox())
    await connection.request("ask.test.number.double", b'{"number": 1}', timeout=2)
    await until(lambda: service.queue.qsize() + other.queue.qsize() >= 20)
    assert service.queue.qsize() + other.queue.qsize() == 20
    await faststream.stop()


async def test_a_reply_that_cannot_be_sent_disturbs_nobody(broker: Broker) -> None:
    connection = await connect(broker.url, "service")
    call = Call(connection.outbox, "do.test.thing.request", b"{}", "_INBOX_client.1", {})
    broker.kill()
    await until(lambda: not connection.is_connected)
    call.reply(b"{}")
    assert call.answered
    await connection.close()


async def test_a_field_that_nobody_knows_is_refused_by_its_name(service: Service, connection: Client) -> None:
    """A typing error must not pass as a field left out."""
    problem = _problem(await connection.request("ask.test.number.double", b'{"number": 1, "nmuber": 2}', timeout=2))
    assert problem.status == 422
    assert [fault.field for fault in problem.errors] == ["nmuber"]


async def test_an_answer_that_no_message_can_hold_is_told_as_a_problem(broker: Broker, connection: Client) -> None:
    async def verbose(_call: Call) -> bytes:
        return b"x" * 2_000_000

    faststream = faststream_broker(broker.url, "service")
    serve(faststream, [Route("ask.test.number.all", Question, Answer, verbose, "Everything.")])
    await faststream.start()
    problem = _problem(await connection.request("ask.test.number.all", b"{}", timeout=2))
    assert (problem.status, problem.type) == (413, "urn:deelname:problem:answer-too-large")
    await faststream.stop()

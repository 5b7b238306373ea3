"""
A crowd that enrols while things go wrong, and the history that is held against what everybody has afterwards.

The history is Jepsen's: whatever was acknowledged has happened exactly once, whatever was refused has not, and of
whatever got no certain answer at most one effect is found. Mails go to a real SMTP server, since only there a mail that
is sent twice arrives twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.system.world import (
    Answer,
    Json,
    Mail,
    World,
    enrolment,
    organisation,
    parse_mail,
    person,
    programme,
    session,
    until,
)

PROGRAMMES = ("storm", "flood")
OPEN = 12
"""So many people may wait for a mail before others ask. A mail that a killed service left uncertain never comes."""


@dataclass
class Letters:
    """A mail server that keeps every mail as often as it comes; ``meanwhile`` happens once, before it has answered."""

    mails: list[Mail] = field(default_factory=list)
    port: int = 0
    meanwhile: Callable[[], None] | None = None

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.mails.append(parse_mail(envelope.content))
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return "250 2.0.0 taken"


@contextlib.asynccontextmanager
async def mail_server() -> AsyncIterator[Letters]:
    """A mail server on a port of its own."""
    kept = Letters()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(kept, hostname="mail.test"), "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    yield kept
    server.close()


async def open_programmes(world: World) -> None:
    """Publish what the crowd asks for: two programmes that fill up."""
    await world.staff.register(organisation("bisc"), *(organisation(f"bieb-{number}") for number in range(5)))
    for id_ in PROGRAMMES:
        await world.staff.publish(
            programme(id_, sessions=[session("only", 8)], capacity=25, waiting_list={"policy": "in-order"})
        )


@dataclass
class Request:
    """One request and what is known of it."""

    id: str
    address: str
    channel: str
    programme: str
    answer: Answer
    answered: float = field(default_factory=time.monotonic)


class Crowd:
    """
    People who enrol one after another, by three ways at once, while things go wrong; each asks exactly once.

    ``pace`` has them come by the clock, in seconds between two of one caller, whether or not others were mailed yet.
    """

    def __init__(self, world: World, letters: Letters, name: str, seed: int, pace: float | None = None) -> None:
        self._pace = pace
        # A command that went down with a server is never answered; who comes by the clock does not wait for it long.
        self._patience = 10.0 if pace is None else 2.0
        self._world = world
        self._letters = letters
        self._name = name
        self._random = random.Random(seed)
        self._number = 0
        self._stop = asyncio.Event()
        self._callers: list[asyncio.Task[None]] = []
        self.history: list[Request] = []

    async def __aenter__(self) -> Crowd:
        ways = {"staff": self._by_staff, "web": self._by_web, "intake": self._by_intake}
        self._callers = [
            asyncio.create_task(self._call(channel, way)) for channel, way in ways.items() for _ in range(2)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._callers)

    def done(self) -> int:
        """How many certain successes there were so far."""
        return sum(request.answer.certainty == "done" for request in self.history)

    async def more(self, number: int) -> None:
        """Wait until so many more requests have succeeded."""
        goal = self.done() + number

        async def too_few() -> str:
            return "" if self.done() >= goal else f"{self.done()} requests succeeded, {goal} are awaited"

        await until(too_few)

    async def _call(self, channel: str, way: Callable[[str, Json], Awaitable[Answer]]) -> None:
        while not self._stop.is_set():
            self._number += 1
            id_ = f"{self._name}-{self._number}"
            address = f"{id_}@crowd.example"
            id_of_programme = self._random.choice(PROGRAMMES)
            asked = enrolment(
                id_of_programme,
                person("Noor de Wit", address),
                organisation_id=f"bieb-{self._number % 5}" if self._number % 3 else None,
            )
            starts = 0 if self._pace else self._world.system.broker.server.starts
            begun = time.monotonic()
            request = Request(id_, address, channel, id_of_programme, await way(id_, asked))
            self.history.append(request)
            if self._pace is None:
                await until(functools.partial(self._too_soon, request, starts))
            else:
                await asyncio.sleep(max(0.0, begun + self._pace - time.monotonic()))

    async def _too_soon(self, request: Request, starts: int) -> str:
        """Why whoever got this answer does not ask again yet: a crowd, not a flood, or a check would wait for ever."""
        if request.answer.certainty != "done":
            return await self._world.unready("registration")
        if request.channel == "intake":
            # What was undecided when the broker died may have been lost with its disk.
            died = self._world.system.broker.server.starts != starts or not self._world.system.broker.server.runs
            return "" if died or self._world.partner.answers(request.id) else f"{request.id} has no outcome"
        mailed = {mail.to for mail in self._letters.mails}
        open_ = [
            each.id
            for each in self.history
            if each.answer.certainty == "done" and each.channel != "intake" and each.address not in mailed
        ]
        return f"{len(open_)} were not mailed yet" if len(open_) > OPEN else ""

    async def _by_staff(self, id_: str, asked: Json) -> Answer:
        return await self._world.staff.attempt(
            "do.registration.enrolment.request", asked | {"id": id_}, within=self._patience
        )

    async def _by_web(self, id_: str, asked: Json) -> Answer:
        return await self._world.web.enrol(asked, key=id_)

    async def _by_intake(self, id_: str, asked: Json) -> Answer:
        return await self._world.partner.enrol(id_, asked)


async def check(world: World, letters: Letters, crowd: Crowd, *, intake_may_be_lost: bool = False) -> None:
    """Hold the history against what everybody has now."""
    await world.settled()
    facts = await world.staff.facts()
    assert [fact["position"] for fact in facts] == list(range(1, len(facts) + 1))
    for id_ in PROGRAMMES:
        versions = [fact["version"] for fact in facts if fact["subject"] == id_]
        assert versions == list(range(1, len(versions) + 1))
    stored = await world.staff.stream("LOG_REGISTRATION")
    assert [(number, body) for number, _, body in stored] == [(fact["position"], fact) for fact in facts]

    addresses = {row[0]: row[1] for row in world.rows("registration", "SELECT person, email FROM people")}
    enrolled = Counter(
        addresses[each["person"]]
        for fact in facts
        if fact["type"] in ("enrolment.confirmed.v1", "enrolment.waitlisted.v1", "enrolment.refused.v1")
        for each in fact["data"]["participants"]
    )
    assert crowd.history

    async def unanswered() -> str:
        # An outcome that was on its way to the partner when the broker died is given out again after its ack_wait.
        decided = (each for each in crowd.history if each.channel == "intake" and enrolled[each.address])
        return ", ".join(each.id for each in decided if not world.partner.answers(each.id))

    await until(unanswered, within=60)
    for request in crowd.history:
        times = enrolled[request.address]
        match request.answer.certainty:
            case "done" if request.channel == "intake" and intake_may_be_lost:
                assert times <= 1, request
            case "done":
                assert times == 1, request
            case "failed" | "refused":
                assert (request.answer.certainty, times) == ("failed", 0), request
            case "unknown":
                assert times <= 1, request
        if request.channel == "intake":
            outcomes = world.partner.answers(request.id)
            assert len(outcomes) == times, (request, outcomes)
    for id_ in PROGRAMMES:
        standing = Counter(view["status"] for view in await world.staff.enrolments(id_))
        assert standing["confirmed"] == min(25, sum(standing.values()))
        counts = (await world.staff.report(id_))["counts"]
        assert {status: counts[f"units_{status}"] for status in standing} == standing
    await check_mails(world, letters)
    before = await world.staff.reports()
    assert (await world.staff.do("do.reporting.report.rebuild"))["identical"]
    assert await world.staff.reports() == before


async def check_mails(world: World, letters: Letters) -> None:
    """No mail twice, none lost; what a crash left open is said to be so and not sent again."""
    arrived = Counter(mail.message_id for mail in letters.mails)
    assert arrived.most_common(1)[0][1] == 1
    rows = world.rows("notifications", "SELECT message_id, status FROM mails")
    for message_id, status in rows:
        assert status in ("sent", "uncertain"), (message_id, status)
        if status == "sent":
            assert arrived[message_id] == 1, message_id
    assert set(arrived) <= {message_id for message_id, _ in rows}
    told = Counter(body["data"]["mail"] for _, _, body in await world.staff.stream("LOG_NOTIFICATIONS"))
    assert len(told) == len(rows)
    assert set(told.values()) <= {1}

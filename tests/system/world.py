"""
The whole system as others see it: real processes, a real broker with production's accounts, and who lives around it.

Staff, partners and web forms here speak the wire contract in plain JSON and share no code with the services. What looks
inside (databases, stored streams, files) only reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.policy
import functools
import http.client
import json
import math
import os
import re
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import nats
import nats.errors
from icalendar import Calendar
from nats.aio.client import Client
from nats.js.errors import NoStreamResponseError

from deploy.broker import ServerKind
from deploy.local import LocalSystem, ServiceCommand
from tests import warm
from tests.ports import free_ports

SERVICES = ("registration", "notifications", "reporting")
ACK_WAIT = 3.0
"""Seconds after which what was under way when something died is handed out again; in production ten times as many."""
PATIENCE = 120.0
"""Seconds that the whole may take to come to rest; on a machine that is free it takes one or two."""

Json = dict[str, Any]


# What people ask for --------------------------------------------------------------------------------------------------


def organisation(id_: str, kind: str = "library", province: str = "utrecht", municipality: str = "Utrecht") -> Json:
    return {"id": id_, "name": id_.capitalize(), "kind": kind, "province": province, "municipality": municipality}


def text(words: str) -> Json:
    return {"nl": words, "en": words}


def day(weeks: int) -> str:
    """A date so many weeks from today."""
    return (date.today() + timedelta(weeks=weeks)).isoformat()  # noqa: DTZ011  # far enough for any time zone


def session(id_: str, weeks: int, **more: Any) -> Json:
    return {
        "id": id_,
        "title": text(f"Session {id_}"),
        "start": f"{day(weeks)}T14:00",
        "end": f"{day(weeks)}T15:30",
        "online": {"join_link": f"https://meet.example/{id_}"},
        **more,
    }


STRANGERS_WAIT: Json = {"needed": "unknown"}
"""The rule of a programme in which whoever is not known has to confirm: so it is where a definition says nothing."""


def programme(id_: str, *, sessions: Sequence[Json] = (), organiser: str = "bisc", **enrolment: Any) -> Json:
    """A programme with these enrolment rules; unless they say so, nobody has to confirm, and anybody may come."""
    contact = {"name": "Team", "email": "team@bisc.example"}
    return {
        "id": id_,
        "kind": "meeting",
        "title": text(f"Programme {id_}"),
        "description": text("What it is about."),
        "organisers": [organiser],
        "content_contact": contact,
        "enrolment_contact": contact,
        "sessions": list(sessions),
        "enrolment": {"eligible": {"without_organisation": True}, "confirmation": {"needed": "never"}, **enrolment},
    }


def called(name: str) -> str:
    """A name for who goes by such as ``web-17``: people's names have no numbers."""
    return "".join("abcdefghij"[int(letter)] if letter.isdigit() else letter for letter in name).capitalize()


def person(name: str, address: str, language: str = "nl") -> Json:
    return {"name": name, "email": address, "language": language}


def enrolment(programme_id: str, *people: Json, organisation_id: str | None = None) -> Json:
    """What an enrolment asks for: the same for partners, staff and web forms."""
    asked: Json = {"programme": programme_id, "participants": [{"person": each} for each in people]}
    return asked if organisation_id is None else asked | {"organisation": organisation_id}


# Answers --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """``done`` and ``refused`` are certain, and so is ``failed`` (no effect); of ``unknown`` nothing is."""

    certainty: Literal["done", "refused", "failed", "unknown"]
    body: Json = field(default_factory=dict)

    @property
    def rules(self) -> set[str]:
        """The rules that a refusal names."""
        return {fault.get("rule") for fault in self.body.get("errors", ())}


def _judged(status: int, body: bytes) -> Answer:
    content: Json = json.loads(body) if body else {}
    if status < 400:
        return Answer("done", content)
    # 503 promises that nothing happened; 500 does too, and would be a fault in any of these tests.
    return Answer("failed" if status == 503 else "refused", content)


class Refused(AssertionError):  # noqa: N818 - it reads as what happened
    """Something was refused that should not have been."""


async def until(unfinished: Callable[[], Awaitable[str]], within: float = PATIENCE) -> None:
    """Wait until ``unfinished`` has nothing to say; what it says last is why waiting failed."""
    deadline = time.monotonic() + within
    while why := await unfinished():
        assert time.monotonic() < deadline, f"after {within:.0f} s: {why}"
        await asyncio.sleep(0.05)


async def _connected(access: Json) -> Client:
    async def quiet(_error: Exception) -> None:
        """Brokers are killed here; what that means shows in each answer."""

    return await nats.connect(
        access["url"],
        inbox_prefix=access["inbox_prefix"].encode(),
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        connect_timeout=5,
        pending_size=0,
        error_cb=quiet,
    )


# Those around it ------------------------------------------------------------------------------------------------------


class Staff:
    """Staff tools: request and reply on do.> and ask.>."""

    def __init__(self, connection: Client) -> None:
        self.connection = connection

    async def attempt(self, subject: str, body: Json | None = None, within: float = 30) -> Answer:
        """Send a command or a question once, and tell what is known of it."""
        try:
            message = await self.connection.request(subject, json.dumps(body or {}).encode(), timeout=within)
        except nats.errors.NoRespondersError:
            return Answer("failed")
        except (nats.errors.Error, OSError):
            return Answer("unknown")
        return _judged(int((message.headers or {}).get("Nats-Service-Error-Code", 200)), message.data)

    async def do(self, subject: str, body: Json | None = None) -> Json:
        """Send a command or a question that must succeed."""
        answer = await self.attempt(subject, body)
        if answer.certainty != "done":
            raise Refused(f"{subject}: {answer}")
        return answer.body

    async def publish(self, definition: Json, **more: Any) -> Json:
        return await self.do("do.registration.programme.publish", {"programme": definition, **more})

    async def register(self, *organisations: Json) -> Json:
        return await self.do("do.registration.organisation.register", {"organisations": list(organisations)})

    async def enrolments(self, programme_id: str) -> list[Json]:
        body = await self.do("ask.registration.enrolment.list", {"programme": programme_id})
        found: list[Json] = body["enrolments"]
        return found

    async def facts(self, programme_id: str | None = None) -> list[Json]:
        """The log as registration tells it."""
        found: list[Json] = []
        while True:
            question: Json = {"after": found[-1]["position"] if found else 0, "limit": 500}
            if programme_id:
                question["programme"] = programme_id
            piece = await self.do("ask.registration.log.read", question)
            if not piece["facts"]:
                return found
            found += piece["facts"]

    async def mails(self, **question: str) -> list[Json]:
        body = await self.do("ask.notifications.mail.list", {**question, "limit": 1000})
        found: list[Json] = body["mails"]
        return found

    async def report(self, programme_id: str) -> Json:
        return await self.do("ask.reporting.programme.get", {"programme": programme_id})

    async def reports(self) -> str:
        """Everything that reporting says about every programme and about who took part, as one text."""
        listed = await self.do("ask.reporting.programme.list")
        whole = [await self.report(row["programme"]) for row in listed["programmes"]]
        took_part = [
            await self.do("ask.reporting.participation.get", {"by": heading}) for heading in ("organiser", "province")
        ]
        return json.dumps([listed, whole, took_part], sort_keys=True)

    async def stream(self, name: str) -> list[tuple[int, str, Json]]:
        """What the broker holds of a log: sequence, subject and content of each message."""
        found: list[tuple[int, str, Json]] = []
        inbox = await self.connection.subscribe(self.connection.new_inbox())
        left = True
        while left:
            question = {"seq": found[-1][0] + 1 if found else 1, "batch": 1000}
            await self.connection.publish(f"$JS.API.DIRECT.GET.{name}", json.dumps(question).encode(), inbox.subject)
            headers: dict[str, str] = {}
            while "Status" not in headers:
                message = await inbox.next_msg(timeout=10)
                headers = message.headers or {}
                if "Nats-Sequence" in headers:
                    found.append((int(headers["Nats-Sequence"]), headers["Nats-Subject"], json.loads(message.data)))
            # 204 ends a batch and says how many messages follow it, 404 says that there are none at all.
            left = int(headers.get("Nats-Num-Pending", 0)) > 0
        await inbox.unsubscribe()
        return found


class Partner:
    """Another system: puts requests on intake.<name>.> and takes its outcomes from a consumer of its own."""

    def __init__(self, name: str, connection: Client) -> None:
        self.name = name
        self.connection = connection
        self.outcomes: list[Json] = []
        """Each outcome once, by its own id, in the order in which they came."""
        self.patience = 10.0
        """Seconds that the broker may take to acknowledge a request."""
        self._seen: set[str] = set()
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self.connection.close()

    async def send(self, id_: str, type_: str, data: Json, **envelope: Any) -> Answer:
        """Send one request, once. ``done`` means that the broker has it, not that it was decided."""
        entity, verb, _version = type_.split(".")
        body = {
            "specversion": "1.0",
            "id": id_,
            "source": self.name,
            "type": type_,
            "time": "2023-03-02T09:14:00Z",
            "data": data,
            **envelope,
        }
        return await self.put(f"intake.{self.name}.{entity}.{verb}", json.dumps(body).encode())

    async def put(self, subject: str, body: bytes) -> Answer:
        """Put bytes on a subject, whatever they are."""
        try:
            stored = await self.connection.jetstream(timeout=self.patience).publish(subject, body)
        except NoStreamResponseError:
            return Answer("failed")
        except (nats.errors.Error, OSError):
            return Answer("unknown")
        return Answer("done", {"sequence": stored.seq})

    async def enrol(self, id_: str, asked: Json) -> Answer:
        return await self.send(id_, "enrolment.request.v1", asked)

    def answers(self, id_: str) -> list[Json]:
        """The outcomes of a request."""
        return [outcome for outcome in self.outcomes if outcome["data"].get("request") == id_]

    async def answer(self, id_: str, number: int = 1) -> Json:
        """The outcome of a request; of the same request sent again, the one with this number."""

        async def missing() -> str:
            return "" if len(self.answers(id_)) >= number else f"no outcome number {number} for {id_}"

        await until(missing)
        return self.answers(id_)[number - 1]

    async def _listen(self) -> None:
        while True:
            try:
                consumer = await self.connection.jetstream(timeout=10).pull_subscribe_bind(self.name, "OUTCOMES")
                while True:
                    with contextlib.suppress(nats.errors.TimeoutError):
                        for message in await consumer.fetch(100, timeout=1):
                            outcome = json.loads(message.data)
                            if outcome["id"] not in self._seen:
                                self._seen.add(outcome["id"])
                                self.outcomes.append(outcome)
                            await message.ack_sync(timeout=5)
            except (nats.errors.Error, OSError):
                # The broker is gone, or has lost its disk: what was not acknowledged comes again.
                await until(self._has_no_consumer, within=math.inf)

    async def _has_no_consumer(self) -> str:
        try:
            await self.connection.jetstream(timeout=10).consumer_info("OUTCOMES", self.name)
        except (nats.errors.Error, OSError) as error:
            return f"{self.name} has no consumer: {error}"
        return ""


class Web:
    """A web form: HTTP POST."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def post(self, path: str, body: Json | None = None, key: str | None = None) -> Answer:
        status, content = await asyncio.to_thread(_http, self._address, "POST", path, body, key)
        return Answer(status) if isinstance(status, str) else _judged(status, content)

    async def enrol(self, asked: Json, key: str | None = None) -> Answer:
        return await self.post("/api/enrolments", asked, key)


def _http(
    address: str, method: str, path: str, body: Json | None = None, key: str | None = None
) -> tuple[int | Literal["failed", "unknown"], bytes]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        try:
            connection.connect()
        except OSError:
            return "failed", b""
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        connection.request(method, path, json.dumps(body).encode() if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return "unknown", b""
    finally:
        connection.close()


# Mails ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mail:
    """A mail as it lies in a mailbox."""

    to: str
    message_id: str
    raw: bytes

    @functools.cached_property
    def message(self) -> EmailMessage:
        """The whole, when somebody looks at it: taking all apart each time was most of what waiting for them cost."""
        message = message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        return message

    @functools.cached_property
    def calendar(self) -> Any:
        """Its calendar part, if there is one."""
        if b"text/calendar" not in self.raw:
            return None
        (part,) = [part for part in self.message.walk() if part.get_content_type() == "text/calendar"]
        return Calendar.from_ical(str(part.get_content()))

    @property
    def method(self) -> str | None:
        """The calendar's METHOD (RFC 5546 §1.4)."""
        return str(self.calendar["METHOD"]) if self.calendar else None

    @property
    def event(self) -> Any:
        """The one event of the calendar."""
        (event,) = self.calendar.walk("VEVENT")
        return event

    @property
    def item(self) -> tuple[str, int, str]:
        """UID, SEQUENCE and METHOD: what an agenda goes by."""
        return str(self.event["UID"]), int(self.event["SEQUENCE"]), str(self.calendar["METHOD"])


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    return str(part.get_content()) if part else ""


@functools.lru_cache(maxsize=4096)
def parse_mail(raw: bytes) -> Mail:
    head = message_from_bytes(re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0], policy=email.policy.compat32)
    ((_, to),) = getaddresses(head.get_all("To", []))
    return Mail(to, head["Message-ID"], raw)


def maildir(folder: Path) -> list[Mail]:
    """Every mail in a maildir."""
    return [parse_mail(file.read_bytes()) for file in sorted((folder / "new").glob("*"))]


# The whole ------------------------------------------------------------------------------------------------------------


class World:
    """A started system with everybody around it."""

    def __init__(self, system: LocalSystem, staff: Staff, partners: dict[str, Partner]) -> None:
        self.system = system
        self.staff = staff
        self.partners = partners
        self.web = Web(system.endpoints["http"]["registration"])

    @property
    def partner(self) -> Partner:
        """The only partner, or the first."""
        return next(iter(self.partners.values()))

    @property
    def data(self) -> Path:
        return self.system.layout.data

    def mails(self) -> list[Mail]:
        """What lies in the maildir."""
        return maildir(self.data / "mail")

    async def confirm(self, email: str) -> None:
        """Wait for the mail that asks this mailbox, and press the button behind its link."""
        links: list[str] = []

        async def asked() -> str:
            links[:] = [
                found[0]
                for mail in await asyncio.to_thread(self.mails)
                if mail.to == email
                for found in re.finditer(r"/confirm/[A-Za-z0-9._-]+", _text(mail.message))
            ]
            return "" if links else f"nobody has asked {email} to confirm"

        await until(asked)
        status, page = await asyncio.to_thread(_http, self.system.endpoints["http"]["registration"], "POST", links[-1])
        assert status == 200, page

    def rows(self, service: str, statement: str) -> list[Any]:
        """What a service's database answers to a SELECT."""
        path = self.data / service / f"{service}.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(statement).fetchall()

    def head(self, service: str) -> int:
        """The last position of a service's log."""
        ((head,),) = self.rows(service, "SELECT coalesce(max(position), 0) FROM log")
        return int(head)

    def kill(self, service: str) -> None:
        """SIGKILL; whoever keeps the processes alive starts it again."""
        process = self.system.children[service].process
        assert process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)

    async def unready(self, service: str) -> str:
        """Why a service is not ready; empty if it is."""
        address = self.system.endpoints["http"][service]
        status, body = await asyncio.to_thread(_http, address, "GET", "/health/ready")
        return "" if status == 200 else f"{service} is not ready: {status} {body!r}"

    def streams(self) -> dict[str, Json]:
        """The state of every stream, as the broker's monitoring tells it."""
        _, body = _http(self.system.endpoints["monitoring"], "GET", "/jsz?accounts=true&streams=true")
        accounts = json.loads(body).get("account_details") or [] if body else []
        return {
            stream["name"]: stream["state"] for account in accounts for stream in account.get("stream_detail") or []
        }

    @contextlib.asynccontextmanager
    async def connected(self, identity: str) -> AsyncIterator[Client]:
        """The broker as one of its identities sees it."""
        connection = await _connected(self.system.endpoints["nats"][identity])
        try:
            yield connection
        finally:
            await connection.close()

    async def settled(self) -> None:
        """Wait until every message is answered, every fact copied, mailed about and counted."""
        await until(self.unsettled)

    async def unsettled(self) -> str:
        """What is still under way, in words."""
        streams = await asyncio.to_thread(self.streams)
        if not {"LOG_REGISTRATION", "LOG_NOTIFICATIONS", "OUTCOMES", "KV_contacts"} <= streams.keys():
            return f"the broker has only {sorted(streams)}"
        for name, state in streams.items():
            if name.startswith("INTAKE_") and state["messages"]:
                return f"{state['messages']} messages wait in {name}"
        # In the order in which things follow from one another: what is at rest stays so while the next is looked at.
        ((outcomes,),) = self.rows("registration", "SELECT coalesce(max(position), 0) FROM outcomes")
        heads = {"LOG_REGISTRATION": self.head("registration")}
        for service in ("registration", "notifications"):
            if why := await asyncio.to_thread(self._not_there_yet, service, heads):
                return why
        left = self.rows("notifications", "SELECT count(*) FROM mails WHERE status IN ('planned', 'sending')")[0][0]
        if left:
            return f"{left} mails are still to be sent"
        heads["LOG_NOTIFICATIONS"] = self.head("notifications")
        streams = await asyncio.to_thread(self.streams)
        for name, head in {**heads, "OUTCOMES": outcomes}.items():
            if streams[name]["last_seq"] != head:
                return f"{name} is at {streams[name]['last_seq']} of {head}"
        return await asyncio.to_thread(self._not_there_yet, "reporting", heads)

    def _not_there_yet(self, service: str, heads: dict[str, int]) -> str:
        status, body = _http(self.system.endpoints["http"][service], "GET", "/health/ready")
        if status != 200:
            return f"{service} is not ready: {status} {body[:300]!r}"
        for name, reader in json.loads(body)["readers"].items():
            if reader["position"] != heads[name]:
                return f"{service} has read {reader['position']} of {heads[name]} in {name}"
        return ""


@contextlib.asynccontextmanager
async def started(
    directory: Path,
    server: ServerKind,
    partners: Iterable[str] = ("demo",),
    transport: str | None = None,
    say: Callable[[str], None] = print,
    *,
    services: Sequence[ServiceCommand] = warm.SERVICES,
    now: str | None = None,
) -> AsyncIterator[World]:
    """A system on this directory, started and stopped in order, with staff and partners connected."""
    system = LocalSystem(
        directory,
        free_ports(),
        partners=tuple(partners),
        transport=transport,
        services=services,
        now=now,
        ack_wait=ACK_WAIT,
        server=server,
        say=say,
    )
    async with system, around(system) as world:
        yield world


@contextlib.asynccontextmanager
async def around(system: LocalSystem) -> AsyncIterator[World]:
    """Staff and partners, connected to a system that runs."""
    async with contextlib.AsyncExitStack() as connections:
        access = system.endpoints["nats"]
        staff = Staff(await _connected(access["staff"]))
        connections.push_async_callback(staff.connection.close)
        partners = {}
        for name in system.partners:
            partners[name] = Partner(name, await _connected(access[name]))
            connections.push_async_callback(partners[name].close)
        yield World(system, staff, partners)

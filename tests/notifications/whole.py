"""A broker, registration's part played by the test, and the service as a process of its own."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from sys import executable
from typing import Any

from nats.aio.client import Client

from contracts import subjects
from contracts.base import Message
from contracts.enrolment import KnownPerson
from deploy.broker import RunningBroker
from deploy.embedded import free_port
from deploy.links import keep_link_keys
from tests.notifications.lives import Life, messages, occasion, session
from tests.warm import popen

JUNE = occasion("2023-06-20")


class System:
    """A broker, registration's part played by the test, and the service."""

    def __init__(self, broker: RunningBroker, clients: Mapping[str, Client], directory: Path) -> None:
        self.broker = broker
        self.registration, self.staff, self.reporting = clients.values()
        self.directory = directory
        self.mail = directory / "mail"
        self.life = Life(session("kick-off", JUNE), session("slot"))
        self.published = 0
        self.port = free_port()
        self.inbox = free_port()
        self.process: Popen[bytes] | None = None

    async def happens(self, *data: Message, subject: str = "gezinsaanpak-2023") -> None:
        for each in data:
            self.life.happens(each, subject=subject)
        for message in messages(self.life.facts)[self.published :]:
            await self.registration.jetstream().publish(message.subject, message.body)
            self.published += 1

    async def knows(self, person: str, email: str | None = None) -> None:
        who = KnownPerson(name=f"{person.title()} de Wit", email=email or f"{person}@bibliotheek.example")
        await self.registration.request(f"$KV.{subjects.CONTACTS}.{person}", who.model_dump_json().encode(), timeout=5)

    def start(self, transport: str | None = None) -> Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DEELNAME_")}
        with (self.directory / "journal").open("ab") as journal:
            self.process = popen(
                [executable, "-m", "services.notifications"],
                env=environment
                | {
                    "DEELNAME_NATS_URL": self.broker.address,
                    "DEELNAME_NATS_USER": "notifications",
                    "DEELNAME_NATS_PASSWORD": self.broker.passwords["notifications"],
                    "DEELNAME_DATA": str(self.directory / "data"),
                    "DEELNAME_HTTP_PORT": str(self.port),
                    "DEELNAME_LINK_KEYS": str(keep_link_keys(self.directory / "links.keys")),
                    "DEELNAME_NOW": "2023-03-02T10:00:00Z",
                    "DEELNAME_TRANSPORT": transport or f"maildir:{self.mail}",
                    "DEELNAME_SENDER": "Deelname <deelname@deelname.example>",
                    "DEELNAME_PUBLIC_URL": "https://deelname.example",
                    "DEELNAME_INBOX": f"lmtp://127.0.0.1:{self.inbox}",
                },
                stdout=journal,
                stderr=STDOUT,
                stdin=DEVNULL,
            )
        return self.process

    @property
    def journal(self) -> str:
        return (self.directory / "journal").read_text()

    def delivered(self) -> list[Path]:
        return sorted((self.mail / "new").glob("*")) if self.mail.exists() else []

    async def asks(self, subject: str, **body: Any) -> Any:
        answer = await self.staff.request(subject, json.dumps(body).encode(), timeout=5)
        return json.loads(answer.data)

    async def statuses(self) -> set[str]:
        return {each["status"] for each in (await self.asks("ask.notifications.mail.list"))["mails"]}

    async def both_relayed(self) -> bool:
        """Whether the outcomes of two mails are in the stream, as reporting sees it."""
        info = await self.reporting.jetstream().stream_info("LOG_NOTIFICATIONS")
        return bool(info.state.last_seq == 2)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def readiness(self) -> Any:
        """What the service says of itself, ready or not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

"""What has gone wrong when the runbook's reader comes to a section: done for real, by whoever would do it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client

from tests.system.moody import Moody
from tests.system.world import Json, enrolment, person

PROGRAMME, EVENING = "runbook", "evening"
_PATIENCE = 30.0


@dataclass(frozen=True)
class Surroundings:
    """Those around the system of the page: a mail server, people with browsers, a partner."""

    place: Path
    moody: Moody
    transport: str

    @property
    def endpoints(self) -> Json:
        """What the running system says of itself."""
        found: Json = json.loads((self.place / "data" / "endpoints.json").read_text())
        return found

    def enrol(self, name: str, address: str, programme: str = PROGRAMME) -> None:
        """By the web form."""
        at = urlsplit(self.endpoints["http"]["registration"])
        with contextlib.closing(HTTPConnection(at.hostname or "", at.port, timeout=30)) as connection:
            body = json.dumps(enrolment(programme, person(name, address)))
            connection.request("POST", "/api/enrolments", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status < 300, answer.read()

    def until_mails(self, number: int, status: str) -> None:
        """Wait until notifications knows of so many mails with this fate."""

        async def wait() -> None:
            deadline = time.monotonic() + _PATIENCE
            async with self.connected("staff") as staff:
                while len(found := await self._mails(staff, status)) != number:
                    assert time.monotonic() < deadline, f"not {number} are {status}: {found}"
                    await asyncio.sleep(0.05)

        asyncio.run(wait())

    def until_counted(self) -> None:
        """Wait until reporting has read everything that the others have written."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            ready = {name: self._ready(address) for name, address in self.endpoints["http"].items()}
            written = {
                stream: each["position"] + each["lag"]
                for name in ("registration", "notifications")
                for stream, each in ready[name]["relays"].items()
            }
            if all(each["position"] == written[name] for name, each in ready["reporting"]["readers"].items()):
                return
            assert time.monotonic() < deadline, ready
            time.sleep(0.05)

    def until_trouble(self, service: str, check: str) -> None:
        """Wait until a service says of itself that this is wrong with it."""
        deadline = time.monotonic() + _PATIENCE
        while check not in (found := self._ready(self.endpoints["http"][service])["reasons"]):
            assert time.monotonic() < deadline, f"{service} has nothing to say of {check}: {found}"
            time.sleep(0.05)

    def _ready(self, address: str) -> Json:
        at = urlsplit(address)
        with contextlib.closing(HTTPConnection(at.hostname or "", at.port, timeout=30)) as connection:
            connection.request("GET", "/health/ready")
            found: Json = json.loads(connection.getresponse().read())
            return found

    async def _mails(self, staff: Client, status: str) -> list[Any]:
        question = json.dumps({"status": status}).encode()
        answer = await staff.request("ask.notifications.mail.list", question, timeout=30)
        found: list[Any] = json.loads(answer.data)["mails"]
        return found

    @contextlib.asynccontextmanager
    async def connected(self, identity: str) -> AsyncIterator[Client]:
        """The broker as one of its identities sees it."""
        access = self.endpoints["nats"][identity]
        connection = await nats.connect(access["url"], inbox_prefix=access["inbox_prefix"].encode())
        try:
            yield connection
        finally:
            await connection.close()


def _mail_server_refuses(around: Surroundings) -> None:
    around.moody.refuses = True
    around.enrol("Sam Bakker", "sam@zeist.example")
    around.until_mails(2, "planned")
    # They are planned before the first is tried, too.
    around.until_trouble("notifications", "transport")


def _mail_server_is_mended(around: Surroundings) -> None:
    around.moody.refuses = False


def _mails_are_out(around: Surroundings) -> None:
    around.until_mails(0, "planned")
    around.until_mails(0, "sending")


def _newcomer(around: Surroundings) -> None:
    around.enrol("Bo Jansen", "bo@zeist.example")
    while "bo@zeist.example" not in around.moody.taken:
        around.until_mails(0, "planned")
    _mails_are_out(around)
    around.until_counted()


def _mail_server_hangs_up(around: Surroundings) -> None:
    around.moody.hangs_up = True
    around.enrol("Eva Smit", "eva@zeist.example")
    around.until_mails(2, "uncertain")
    around.moody.hangs_up = False


def _address_does_not_exist(around: Surroundings) -> None:
    around.enrol("Jan Visser", "nobody.jan@zeist.example")
    _mails_are_out(around)


def _on_a_block_list(around: Surroundings) -> None:
    around.moody.blocks = True
    around.enrol("Kim de Boer", "kim@zeist.example")
    around.until_mails(2, "failed")


def _off_the_block_list(around: Surroundings) -> None:
    around.moody.blocks = False


def _question(around: Surroundings) -> None:
    raw = b"From: noor@zeist.example\r\nTo: deelname@deelname.example\r\n\r\nMag mijn collega ook?\r\n"

    async def hand_over() -> None:
        async with around.connected("staff") as staff:
            asked = json.dumps({"raw": base64.b64encode(raw).decode()}).encode()
            answer = await staff.request("do.notifications.mail.receive", asked, timeout=30)
            assert json.loads(answer.data)["kind"] == "unknown", answer.data

    asyncio.run(hand_over())


def _poison(around: Surroundings) -> None:
    subject = "intake.demo.enrolment.request"
    head = {"specversion": "1.0", "source": "demo", "time": "2023-03-02T09:14:00Z"}
    asked = enrolment(PROGRAMME, person("Ali", "ali@zeist.example"))
    poison = (
        b"<enrolment>this is not JSON</enrolment>",
        json.dumps({**head, "id": "p-2", "type": "enrolment.celebrate.v1", "data": asked}).encode(),
        json.dumps(
            {**head, "id": "p-3", "type": "enrolment.request.v1", "data": asked, "more": "x" * 300_000}
        ).encode(),
    )

    async def send() -> None:
        async with around.connected("demo") as partner:
            for body in poison:
                await partner.jetstream(timeout=10).publish(subject, body)

    asyncio.run(send())


def _strangers_ask(around: Surroundings) -> None:
    # As the page's file has it, but for what the page changes.
    definition = json.loads((around.place / f"{EVENING}.yaml").read_text())
    del definition["enrolment"]["confirmation"]

    async def publish() -> None:
        async with around.connected("staff") as staff:
            asked = json.dumps({"programme": definition}).encode()
            answer = await staff.request("do.registration.programme.publish", asked, timeout=30)
            assert json.loads(answer.data)["facts"] == ["programme.published.v1"], answer.data

    asyncio.run(publish())
    for name in ("Anna Bos", "Win Prijzen"):
        around.enrol(name, f"{name.split()[0].lower()}@elders.example", EVENING)
    _mails_are_out(around)


TROUBLES: Mapping[str, Callable[[Surroundings], None]] = {
    "the mail server refuses us, and somebody enrols": _mail_server_refuses,
    "the mail server was mended": _mail_server_is_mended,
    "a moment later": _mails_are_out,
    "somebody enrols after the backup was made": _newcomer,
    "the mail server takes a mail and hangs up before it answers": _mail_server_hangs_up,
    "somebody enrols with an address that does not exist": _address_does_not_exist,
    "a mail server has us on a block list": _on_a_block_list,
    "the mail server is off the block list": _off_the_block_list,
    "somebody answers a mail with a question": _question,
    "strangers ask for places in a programme": _strangers_ask,
    "a partner sends what is not JSON, an unknown type, and too much": _poison,
}
"""By what the page calls them."""

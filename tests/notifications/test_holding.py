"""However changes, sending, failures and crashes fall together, each agenda ends up as the programme is."""

from __future__ import annotations

import asyncio
import email
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from contracts.commands import RetryMail
from contracts.facts import SessionAdded, SessionMoved
from contracts.session import Occasion
from services.chassis.database import Database
from services.notifications import store
from services.notifications.handlers import Planner
from services.notifications.rendering import Renderer
from services.notifications.return_path import ReturnPaths
from services.notifications.sender import Sender
from services.notifications.transport import Failed, Fault, Outcome, Reply, Retry, Sent, Uncertain
from tests.notifications.conftest import BOUNCES, SENDER, AddressBook, Service, SetClock
from tests.notifications.lives import START, UNDATED, confirmed, messages
from tests.notifications.plausible import Pick, Seats, World

HOLD = timedelta(minutes=3)
SOON = timedelta(hours=2)
NEVER = datetime.min.replace(tzinfo=UTC)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
FATES = ("taken", "not now", "refused", "taken unheard", "lost unheard", "fault")
OFTEN = ("move", "enrol", "promote", "withdraw", "change", "cancel", "hold_another", "call_off", "replace")


def _on(days: int, link: int) -> Occasion:
    start = (START + timedelta(days=days)).replace(tzinfo=None, minute=0)
    return Occasion.model_validate(
        {"start": start, "end": start + timedelta(hours=2), "online": {"join_link": f"https://meet.example/{link}"}}
    )


OCCASIONS = (_on(30, 0), _on(31, 0), _on(30, 1), UNDATED, _on(-30, 0), _on(4, 0))
"""Few, so that what is moved is often moved back; the last one passes, and not all mails of it went out by then."""
Item = tuple[str, datetime, datetime, str]
"""Session, start, end and link as an agenda shows them."""


@dataclass
class Calendar:
    """One person's calendar program; it keeps to RFC 5546 §2.1.4 and §3.2: by UID, then SEQUENCE, then DTSTAMP."""

    said: dict[str, tuple[int, str]] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    bytes: dict[tuple[str, int], str] = field(default_factory=dict)
    asked_at: dict[str, datetime] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """Items about which a mail was lost since, which for all that its sender knows arrived."""

    def takes(self, part: str, now: datetime, hurried: Mapping[str, datetime]) -> None:
        lines = _lines(part)
        uid, version = lines["UID"], (int(lines["SEQUENCE"]), lines["DTSTAMP"])
        known = self.said.get(uid, (-1, ""))
        if version[0] == known[0]:
            assert self.bytes[uid, version[0]] == part, "one SEQUENCE says one thing"
            return
        assert version > known, "nothing arrives that a calendar would have to ignore"
        assert version[1] > known[1], "a DTSTAMP rises"
        self.said[uid] = version
        self.bytes[uid, version[0]] = part
        if "METHOD:CANCEL" in part:
            self.items.pop(uid, None)
            return
        item = _item(part)[1:]
        earlier, asked = self.items.get(uid), self.asked_at.get(uid, NEVER)
        if earlier is not None:
            assert earlier != item or uid in self.lost, "nobody is told what was told before"
            # Not what it comes to, each single change says whether there is time: also one that was taken back since.
            if min(earlier[1], item[1]) - now > SOON and hurried.get(item[0], NEVER) < asked:
                assert now - asked >= HOLD, "one mail an item within the time that changes are held"
        self.items[uid] = item
        self.asked_at[uid] = now
        self.lost.discard(uid)


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=AMSTERDAM)


class Wrong(SetClock):
    """A clock that may have been set back, and then stays behind."""

    behind = timedelta()

    @property
    def real(self) -> datetime:
        return self.now + self.behind

    def set_back(self, by: timedelta) -> None:
        self.behind += by
        self.now -= by


class Post:
    """
    A mail server that meets mails as the list of fates says; beyond that it takes everything.

    What is wrong is noted: the sender would take an error for one of the transport's. ``known`` are the sessions as far
    as facts were read.
    """

    def __init__(self, clock: Wrong, known: dict[str, Occasion]) -> None:
        self.clock = clock
        self.known = known
        self.wrong: list[Exception] = []
        self.arrived: dict[str, bytes] = {}
        self.calendars: dict[str, Calendar] = {}
        self.hurried: dict[str, datetime] = {}
        """When it was last read of a session that it leaves, or comes to, a date that is near."""
        self.fates: list[str] = []
        self.dead = False
        self.asked = 0

    async def deliver(self, _sender: str, recipient: str, raw: bytes, *_: Any, **__: Any) -> Outcome:
        self.asked += 1
        try:
            self._says_what_is_so(raw)
            return await self._meets(recipient, raw)
        except Exception as error:
            self.wrong.append(error)
            raise

    async def _meets(self, recipient: str, raw: bytes) -> Outcome:
        fate = self.fates.pop() if self.fates else "taken"
        if self.dead:
            if fate.startswith("taken"):
                self._arrives(recipient, raw)
            else:
                self._is_lost(recipient, raw)
            return await asyncio.Future()
        if fate.startswith("taken"):
            self._arrives(recipient, raw)
        elif fate == "lost unheard":
            self._is_lost(recipient, raw)
        match fate:
            case "taken":
                return Sent(Reply("taken", 250))
            case "not now":
                return Retry(Reply("later", 451), timedelta(minutes=1))
            case "refused":
                return Failed(Reply("no", 554))
            case "fault":
                return Fault(Reply("who are you", 535))
            case _:
                return Uncertain("no answer")

    def _says_what_is_so(self, raw: bytes) -> None:
        message_id, parts = _read_mail(raw)
        for part in parts:
            if "METHOD:CANCEL" not in part:
                _, session, *item = _item(part)
                when = self.known[session]
                assert when.online is not None
                assert item == [when.begins, when.finishes, str(when.online.join_link)[-1]], "it is so now"
        assert self.arrived.get(message_id, raw) == raw, "what may have arrived is repeated byte for byte"

    def _is_lost(self, recipient: str, raw: bytes) -> None:
        calendar = self.calendars.setdefault(recipient.partition("@")[0], Calendar())
        calendar.lost |= {_lines(part)["UID"] for part in _read_mail(raw)[1]}

    def _arrives(self, recipient: str, raw: bytes) -> None:
        message_id, parts = _read_mail(raw)
        self.arrived[message_id] = raw
        person = recipient.partition("@")[0]
        for part in parts:
            self.calendars.setdefault(person, Calendar()).takes(part, self.clock.real, self.hurried)


@lru_cache(maxsize=64)
def _read_mail(raw: bytes) -> tuple[str, tuple[str, ...]]:
    """Message-ID and calendar parts; what is tried again is read once."""
    mail = email.message_from_bytes(raw)
    parts = []
    for part in mail.walk():
        if part.get_content_type() == "text/calendar":
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            parts.append(payload.decode().replace("\r\n ", ""))
    return str(mail["Message-ID"]), tuple(parts)


def _lines(part: str) -> dict[str, str]:
    lines = dict(re.findall(r"^([A-Z-]+)[^:\r\n]*:([^\r\n]*)\r$", part.split("BEGIN:VEVENT")[1], re.M))
    lines.pop("TRIGGER", None)
    return lines


def _item(part: str) -> tuple[str, str, datetime, datetime, str]:
    """UID, session, start, end and link."""
    lines = _lines(part)
    uid = lines["UID"]
    return uid, uid.split(".")[1], _moment(lines["DTSTART"]), _moment(lines["DTEND"]), lines["CONFERENCE"][-1]


@cache
def _renderer() -> Renderer:
    return Renderer(SENDER, "https://deelname.example")


@cache
def _empty_database() -> bytes:
    """What every example begins with: to migrate anew would cost each of them more than its first steps."""

    async def make(path: Path) -> None:
        await (await Database.open(path, store.MIGRATIONS)).close()

    with TemporaryDirectory() as directory:
        path = Path(directory) / "n.db"
        asyncio.run(make(path))
        return path.read_bytes()


class Ahead(World):
    """Sessions lie weeks ahead, a few days ahead or long past."""

    def _occasion(self, pick: Pick) -> Occasion:
        return OCCASIONS[pick(len(OCCASIONS))]


class AnyInterleaving(RuleBasedStateMachine):
    """Registration writes on, facts are read late, and the mail server and the power do what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "n.db"
        self.path.write_bytes(_empty_database())
        self.runner = asyncio.Runner()
        self.runner.run(self._open())

    async def _open(self) -> None:
        database = await Database.open(self.path, store.MIGRATIONS)
        clock = Wrong()
        planner = Planner(database, clock, hold=HOLD)
        await planner.load()
        return_paths = ReturnPaths(BOUNCES, await database.run(store.key))
        self.service = Service(database, clock, AddressBook(), planner, _renderer(), return_paths)
        self.clock = clock
        self.world = Ahead()
        self.known = dict(self.world.sessions)
        self.post = Post(clock, self.known)
        self.world.happens(confirmed("e0", ("a", "maker"), ("b", "manager")))
        self.world.enrolments["e0"] = Seats("confirmed", {"a": "maker", "b": "manager"})
        self._start()
        clock.now = self.world.now

    def _start(self) -> None:
        self.sender: Sender = self.service.sender(self.post)  # type: ignore[arg-type]

    @rule(operation=st.sampled_from(OFTEN), data=st.data())
    def something_happens(self, operation: str, data: st.DataObject) -> None:
        self.world.step(operation, lambda below: data.draw(st.integers(0, below - 1)))
        self._tell_the_time()

    @rule(where=st.lists(st.sampled_from((0, 1, 2, 5)), min_size=1, max_size=3), read=st.booleans())
    def the_first_session_is_moved_again_and_again(self, where: list[int], read: bool) -> None:
        for each in where:
            before, after = self.world.sessions.get("kick-off"), OCCASIONS[each]
            if before not in (None, after) and not self.world.off:
                self.world.sessions["kick-off"] = after
                self.world.life.moves("kick-off", after, before)
        self._tell_the_time()
        if read:
            self.runner.run(self._read(100))

    @rule(most=st.integers(1, 4))
    def some_facts_arrive(self, most: int) -> None:
        self.runner.run(self._read(most))

    @rule(seconds=st.integers(1, 300))
    def time_passes(self, seconds: int) -> None:
        self.world.life.time += timedelta(seconds=seconds)
        self._tell_the_time()

    @rule(days=st.integers(1, 4))
    def days_pass(self, days: int) -> None:
        if self.world.now < START + timedelta(days=20):
            self.world.life.time += timedelta(days=days)
            self._tell_the_time()

    @rule(
        fates=st.sampled_from((["not now"] * 8, ["refused"] * 8, [])) | st.lists(st.sampled_from(FATES), max_size=4),
        minutes=st.sampled_from((0, 0, 10, 60)),
        where=st.permutations((0, 1, 2)),
    )
    def the_first_session_is_moved_between_two_attempts(self, fates: list[str], minutes: int, where: list[int]) -> None:
        self.the_first_session_is_moved_again_and_again(where[:1], read=True)
        self.mails_go_out(fates, 180)
        if self.clock.behind < timedelta(hours=1):
            self.clock.set_back(timedelta(minutes=minutes))
        self.the_first_session_is_moved_again_and_again(where[1:], read=True)
        self.mails_go_out([], 180)

    @rule(fates=st.lists(st.sampled_from(FATES), max_size=4), seconds=st.sampled_from((0, 60, 180)))
    def mails_go_out(self, fates: list[str], seconds: int) -> None:
        self.time_passes(seconds)
        self.post.fates = list(fates)
        self.runner.run(self.sender.send_due())
        self.post.fates = []

    @rule()
    def facts_arrive_and_mails_go_out(self) -> None:
        self.runner.run(self._read(100))
        self.runner.run(self.sender.send_due())

    @rule(fates=st.lists(st.sampled_from(("taken", "lost")), max_size=4))
    def the_service_dies_while_mails_are_under_way(self, fates: list[str]) -> None:
        self.post.fates = list(fates)
        self.runner.run(self._die())
        self.post.fates = []

    @rule(data=st.data())
    def somebody_asks_for_another_attempt(self, data: st.DataObject) -> None:
        if open_mails := self.runner.run(self._open_mails()):
            mail = open_mails[data.draw(st.integers(0, len(open_mails) - 1))]
            self.runner.run(self.service.desk.retry(RetryMail(mail=mail)))

    @rule()
    def everybody_is_told_again(self) -> None:
        for mail in self.runner.run(self._open_mails()):
            self.runner.run(self.service.desk.retry(RetryMail(mail=mail)))
        self.runner.run(self.sender.send_due())

    @invariant()
    def nothing_wrong_was_sent(self) -> None:
        for wrong in self.post.wrong:
            raise wrong

    def teardown(self) -> None:
        try:
            self.runner.run(self._come_to_rest())
            self.nothing_wrong_was_sent()
            self._each_agenda_is_as_the_programme_is()
        finally:
            self.runner.run(self.service.database.close())
            self.runner.close()
            self.directory.cleanup()

    # ------------------------------------------------------------------------------------------------------------------

    def _tell_the_time(self) -> None:
        self.clock.now = max(self.clock.real, self.world.now) - self.clock.behind

    async def _read(self, most: int) -> None:
        position = await self.service.planner.position()
        life = self.world.life
        if position < len(life.facts):
            await self.service.planner.apply(messages(life.facts)[position : position + most])
            for fact in life.facts[position : position + most]:
                if isinstance(fact.data, SessionMoved):
                    self.known[fact.data.session] = fact.data.after
                    dates = [each.begins for each in (fact.data.before, fact.data.after) if each.begins]
                    if any(date - self.clock.real <= SOON for date in dates):
                        self.post.hurried[fact.data.session] = self.clock.real
                elif isinstance(fact.data, SessionAdded):
                    self.known[fact.data.session.id] = fact.data.session

    async def _open_mails(self) -> list[str]:
        found = await self.service.database.run(lambda raw: store.mails(raw, store.ALL))
        return [each.mail for each in reversed(found) if each.status in ("failed", "uncertain")]

    async def _die(self) -> None:
        self.post.dead, self.post.asked = True, 0
        task = asyncio.create_task(self.sender.send_due())
        while not task.done():
            rows = await self.service.database.run(
                lambda raw: raw.execute("SELECT count(*) FROM mails WHERE status = 'sending'").fetchone()[0]
            )
            if rows and rows == self.post.asked:
                break
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self.post.dead = False
        await self.service.planner.load()
        self._start()
        await self.sender.resolve_crash()

    async def _come_to_rest(self) -> None:
        await self._read(1000)
        for _ in range(20):
            for mail in await self._open_mails():
                await self.service.desk.retry(RetryMail(mail=mail))
            self.service.clock.forward(minutes=10)
            await self.sender.send_due()
            statuses = {each[-1] for each in await self.service.statuses()}
            if statuses <= {"sent", "dropped"}:
                return
        raise AssertionError(f"mails never come to rest: {statuses}")

    def _each_agenda_is_as_the_programme_is(self) -> None:
        # Not what the sender's clock says: that may have been set back since it found that a session was over.
        now = self.clock.real
        shown = sorted(
            (person, *item)
            for person, calendar in self.post.calendars.items()
            for item in calendar.items.values()
            if item[2] > now
        )
        world = self.world
        should = sorted(
            (person, session, when.begins, when.finishes, str(when.online.join_link)[-1])
            for person, session in world.wanted()
            if (when := world.sessions[session]).online and when.finishes and when.finishes > now
        )
        assert shown == should


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("fate", ["not now", "refused", "lost unheard"])
def test_what_is_repeated_after_a_move_back_is_the_only_mail_within_the_hold(fate: str) -> None:
    machine = AnyInterleaving()
    try:
        machine.facts_arrive_and_mails_go_out()
        machine.the_first_session_is_moved_again_and_again([1], read=True)
        machine.mails_go_out([fate] * 2, 180)
        machine.the_first_session_is_moved_again_and_again([0, 1], read=True)
        machine.time_passes(120)
        machine.everybody_is_told_again()
        machine.the_first_session_is_moved_again_and_again([2], read=True)
        machine.mails_go_out([], 60)
    finally:
        machine.teardown()


def test_what_was_refused_is_not_told_again_after_an_earlier_mail_told_it() -> None:
    machine = AnyInterleaving()
    try:
        machine.facts_arrive_and_mails_go_out()
        machine.the_first_session_is_moved_again_and_again([2, 1], read=True)
        machine.mails_go_out(["refused"] * 2 + ["not now"] * 2, 180)
        machine.mails_go_out([], 180)
        machine.everybody_is_told_again()
        statuses = machine.runner.run(machine.service.statuses())
        assert [each[-1] for each in statuses if each[0] == "session-moved"] == ["sent", "sent", "dropped", "dropped"]
    finally:
        machine.teardown()

"""A directory in which every mail is a file (maildir, as in maildir(5)): the default where no relay is set up."""

import asyncio
import os
import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path

from services.chassis import private
from services.notifications.hygiene import mailbox
from services.notifications.transport.outcomes import Fault, Outcome, Reply, Sent

_DATE = re.compile(rb"^Date: ([^\r\n]+)", re.MULTILINE | re.IGNORECASE)
_END_OF_HEADERS = b"\r\n\r\n"


@dataclass(slots=True)
class _Delivery:
    name: str
    content: bytes
    done: "asyncio.Future[Outcome]"


@dataclass(slots=True)
class Maildir:
    """Delivers into `path/new`. A file appears whole and on disk, or not at all.

    The name of a file follows from Date, Message-ID and recipient, so that delivering the same mail again after a crash
    leaves one file. Deliveries that come together are synced together.
    """

    path: Path
    _waiting: list[_Delivery] = field(default_factory=list)
    _writer: "asyncio.Task[None] | None" = None

    async def open(self) -> None:
        """Makes the directories. Raises OSError if it may not."""
        for folder in (self.path, *(self.path / name for name in ("tmp", "new", "cur"))):
            private.folder(folder)
            private.narrow(folder.resolve())

    async def close(self) -> None:
        """Waits for what is being written."""
        if self._writer is not None:
            await self._writer

    async def deliver(
        self,
        envelope_from: str,
        recipient: str,
        raw: bytes,
        message_id: str,
        *,
        attempt: int = 1,  # noqa: ARG002  (a directory that cannot be written is a fault, never a matter of waiting)
        jitter: float = 0.0,  # noqa: ARG002
    ) -> Outcome:
        """Writes one mail, as a delivery agent does: Return-Path and Delivered-To in front, lines ending in LF."""
        trace = (
            f"Return-Path: <{mailbox(envelope_from) if envelope_from else ''}>\nDelivered-To: {mailbox(recipient)}\n"
        )
        delivery = _Delivery(
            name=_name(raw, message_id, recipient),
            content=trace.encode() + raw.replace(b"\r\n", b"\n"),
            done=asyncio.get_running_loop().create_future(),
        )
        self._waiting.append(delivery)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        return await delivery.done

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            outcomes = await asyncio.to_thread(_write, self.path, batch)
            for delivery, outcome in zip(batch, outcomes, strict=True):
                if not delivery.done.done():
                    delivery.done.set_result(outcome)


def _write(path: Path, batch: list[_Delivery]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for delivery in batch:
        try:
            _write_one(path, delivery)
            outcomes.append(Sent(Reply(f"new/{delivery.name}")))
        except OSError as error:
            outcomes.append(Fault(Reply(f"cannot write to the maildir: {error.strerror}")))
    try:
        _sync_directory(path / "new")
    except OSError as error:
        return [Fault(Reply(f"cannot sync the maildir: {error.strerror}"))] * len(batch)
    return outcomes


def _write_one(path: Path, delivery: _Delivery) -> None:
    temporary = path / "tmp" / delivery.name
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, private.FILE)
    try:
        written = 0
        while written < len(delivery.content):
            written += os.write(descriptor, delivery.content[written:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path / "new" / delivery.name)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(raw: bytes, message_id: str, recipient: str) -> str:
    date = _DATE.search(raw[: raw.find(_END_OF_HEADERS)])
    try:
        seconds = int(parsedate_to_datetime(date[1].decode("ascii")).timestamp()) if date else 0
    except ValueError:
        seconds = 0
    return f"{seconds}.{sha256(f'{message_id} {recipient}'.encode()).hexdigest()[:32]}.eml"

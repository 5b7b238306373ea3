"""
Former revisions of contacts, which the broker is told to overwrite.

A revision that a newer one replaces, or that a roll-up or a purge removes, is deleted and stands in the file of its
stream until that is written anew, which may be never. Only a deletion by number overwrites it (``no_erase`` left out;
nats-server 2.15.1). So the bucket keeps former revisions, and here they are deleted one by one, on every server that
keeps a copy. One that a crash left is found by count.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from itertools import islice
from time import monotonic
from typing import Any, NamedTuple

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from contracts.subjects import CONTACTS
from services.chassis.broker import ConnectionLost, while_connected

_log = structlog.get_logger("registration.revisions")

BUCKET = f"KV_{CONTACTS}"
_KEYS = f"$KV.{CONTACTS}."
_AT_ONCE = 32
_PATIENCE = 5.0
_LONGEST_PAUSE = 60.0
"""A broker whose configuration is of a release before this one does not let us delete, and complains each time."""


def key_subject(person: str) -> str:
    """The subject under which a bucket's stream keeps a key (NATS ADR-8)."""
    return f"{_KEYS}{person}"


class Size(NamedTuple):
    """How many revisions a bucket holds, and of how many keys."""

    revisions: int
    keys: int


class Revisions:
    """
    Erases what is no longer the newest revision of its key.

    Args:
        connection: whose user may ask for the bucket's state and messages, and delete these.
        tell_after: seconds for which the broker may refuse before that is said.
    """

    def __init__(self, connection: Client, tell_after: float = 60.0) -> None:
        self._connection = connection
        self._tell_after = tell_after
        self._replaced: set[str] = set()
        self._failing_since: float | None = None
        self._not_before = self._pause = 0.0
        self._reason = ""

    def replaced(self, persons: Iterable[str]) -> None:
        """These have a new revision in the bucket: :meth:`erase` has to look for former ones."""
        self._replaced.update(persons)

    async def size(self) -> Size:
        """
        How full the bucket is.

        Raises:
            nats.errors.Error: the broker does not answer, or there is no bucket.
        """
        state = await self._state({})
        return Size(int(state["messages"]), int(state.get("num_subjects", 0)))

    async def look(self) -> None:
        """Find what was replaced by nobody knows whom: before a crash, or by another process."""
        size = await self.size()
        found = 0
        while not self._replaced and size.revisions > size.keys and found < size.keys:
            subjects = (await self._state({"subjects_filter": f"{_KEYS}>", "offset": found})).get("subjects") or {}
            if not subjects:
                break
            found += len(subjects)
            self.replaced(name.removeprefix(_KEYS) for name, number in subjects.items() if number > 1)

    async def erase(self) -> None:
        """Erase former revisions, as far as the broker lets us; call it again and again."""
        if not self._replaced or not self._connection.is_connected or monotonic() < self._not_before:
            return
        try:
            while self._replaced:
                some = list(islice(self._replaced, _AT_ONCE))
                # Whoever gets another revision meanwhile is to be looked at once more.
                self._replaced.difference_update(some)
                try:
                    await self._erase_of_all(some)
                except BaseException:
                    self._replaced.update(some)
                    raise
        except (NatsError, OSError) as error:
            # That the broker is away is said elsewhere, and nothing about its configuration.
            if self._connection.is_connected and not isinstance(error, ConnectionLost):
                self._fail(str(error) or type(error).__name__)
            return
        if self._failing_since is not None:
            _log.info("former revisions of contacts are erased again")
        self._failing_since, self._pause, self._reason = None, 0.0, ""

    async def trouble(self) -> str:
        """What is to be erased and was not for a minute; "" when nothing is. See ``Check``."""
        if self._failing_since is None or monotonic() - self._failing_since < self._tell_after:
            return ""
        return (
            f"what was replaced or erased in the bucket of contacts still stands in the broker's files: {self._reason}."
            " Write the broker's configuration anew, reload it and declare the streams"
        )

    def _fail(self, reason: str) -> None:
        now = monotonic()
        self._failing_since = now if self._failing_since is None else self._failing_since
        self._pause = min(max(2 * self._pause, 1.0), _LONGEST_PAUSE)
        self._not_before = now + self._pause
        self._reason = reason
        _log.warning("former revisions of contacts could not be erased", reason=reason)

    async def _erase_of_all(self, persons: Sequence[str]) -> None:
        for result in await asyncio.gather(*map(self._erase_of, persons), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _erase_of(self, person: str) -> None:
        """Of the stream's leader: another server may be behind, and know of less than there is."""
        jetstream = self._connection.jetstream(timeout=_PATIENCE)
        subject = key_subject(person)
        try:
            newest = await self._answer(jetstream.get_msg(BUCKET, subject=subject))
        except NotFoundError:
            return
        while True:
            first = await self._answer(jetstream.get_msg(BUCKET, seq=1, subject=subject, next=True))
            if first.seq >= newest.seq:
                return
            await self._answer(jetstream.delete_msg(BUCKET, first.seq))

    async def _state(self, question: dict[str, Any]) -> dict[str, Any]:
        subject = f"$JS.API.STREAM.INFO.{BUCKET}"
        request = self._connection.request(subject, json.dumps(question).encode(), timeout=_PATIENCE)
        answer = json.loads((await while_connected(self._connection, request)).data)
        if "error" in answer:
            APIError.from_error(answer["error"])
        state: dict[str, Any] = answer["state"]
        return state

    async def _answer(self, request: Any) -> Any:
        return await while_connected(self._connection, request)

"""
The copy of the people table that notifications may read: a key-value bucket on the broker.

It is written as facts are relayed: whom a fact names stands in the bucket before the fact is published, so that nobody
who reads the fact finds the person missing. Like the stream, the bucket can be lost: relaying the log again fills it,
and if the stream is whole, whoever looks after the bucket does. What is replaced there is erased (``revisions.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

import structlog
from nats.aio.client import Client

from contracts.enrolment import Correspondent, KnownPerson
from services.chassis.database import Database
from services.chassis.log import Entry
from services.chassis.patience import Patience
from services.chassis.relay import publish_batch
from services.registration import store
from services.registration.revisions import Revisions, key_subject

_log = structlog.get_logger("registration.contacts")

_PERSON = b'"person":"'
"""What stands before an id; in a text that somebody typed the quotation marks would be escaped."""
_ALWAYS = (".person.corrected", ".person.erased")
_MOST_AT_ONCE = 500
_REMEMBERED = 200_000


def people_named(entry: Entry) -> list[str]:
    """The ids of the people whom a fact names, in its order."""
    return [behind[: behind.index(b'"')].decode() for behind in entry.body.split(_PERSON)[1:]]


class Contacts:
    """Copies whom facts name to the bucket; give :meth:`copy` to the relay as what comes before publishing."""

    def __init__(self, connection: Client, database: Database) -> None:
        self._connection = connection
        self._database = database
        self._copied: set[str] = set()
        self._newcomers: dict[str, KnownPerson] = {}
        self._behind = 0
        # Whom an erasure is about to purge must not be put back by somebody who read the table before.
        self._one_at_a_time = asyncio.Lock()
        self._short_at: int | None = None
        self._patience = Patience()
        self.revisions = Revisions(connection)

    async def look_after(self) -> None:
        """
        Fill the bucket if it has lost people, and find what was replaced and not erased; call it again and again.

        While newcomers are being copied there are fewer keys than people as well, but their number grows: only a bucket
        that is short twice with the same number has lost somebody.

        Raises:
            nats.errors.Error: the broker does not answer, or there is no bucket.
        """
        people = await self._database.run(store.number_of_people)
        keys = await self._number_of_keys()
        if keys < people and keys == self._short_at:
            await self.fill_if_lost()
        self._short_at = keys if keys < people else None
        await self.revisions.look()

    async def _number_of_keys(self) -> int:
        return (await self.revisions.size()).keys

    async def fill_if_lost(self) -> None:
        """
        Put everybody into a bucket that holds fewer keys than there are people.

        Raises:
            nats.errors.Error: the broker does not answer, or there is no bucket.
        """
        keys = await self._number_of_keys()
        async with self._one_at_a_time:
            if keys >= await self._database.run(store.number_of_people):
                return
            _log.warning("the bucket of contacts has lost people and is filled again", keys=keys)
            after = ""
            while people := await self._database.run(
                lambda connection, after=after: store.people_behind(connection, after, _MOST_AT_ONCE)  # type: ignore[misc]
            ):
                await self._put(people)
                after = max(people)

    def know(self, newcomers: Mapping[str, KnownPerson], respelt: Collection[str] = ()) -> None:
        """
        Take note of what was just committed: newcomers, who need not be read from the database, and people whose name
        was written otherwise for a programme, who must be copied again before the fact that names them is published.
        """
        if len(self._newcomers) < _REMEMBERED:
            self._newcomers.update(newcomers)
        for person in respelt:
            self._newcomers.pop(person, None)
            self._copied.discard(person)

    async def copy(self, entries: Sequence[Entry]) -> None:
        """Bring the bucket up to date with everybody whom these entries name."""
        if not entries:
            return
        async with self._one_at_a_time:
            await self._copy(entries)

    async def _copy(self, entries: Sequence[Entry]) -> None:
        if entries[0].position <= self._behind or len(self._copied) > _REMEMBERED:
            # The relay starts again from further back: the broker lost something, perhaps the bucket too.
            self._copied.clear()
        wanted = self._named(entries)
        # Before anything is read: who is written otherwise from now on must be copied again.
        self._copied.update(wanted)
        try:
            await self._bring(wanted)
        except BaseException:
            self._copied.difference_update(wanted)
            raise
        self._behind = entries[-1].position

    async def _bring(self, wanted: Sequence[str]) -> None:
        people = {
            person: store.correspondent(self._newcomers.pop(person)) for person in wanted if person in self._newcomers
        }
        unknown = [person for person in wanted if person not in people]
        if unknown:
            people |= await self._database.run(lambda connection: store.correspondents(connection, unknown))
        await self._put(people)
        gone = [person for person in unknown if person not in people]
        await self._purge(gone)
        self.revisions.replaced(unknown)

    def _named(self, entries: Sequence[Entry]) -> list[str]:
        wanted: dict[str, None] = {}
        for entry in entries:
            again = entry.subject.endswith(_ALWAYS)
            for person in people_named(entry):
                if again:
                    # What stands in the database now, not what a newcomer was committed with.
                    self._newcomers.pop(person, None)
                if again or person not in self._copied:
                    wanted[person] = None
        return list(wanted)

    async def _put(self, people: Mapping[str, Correspondent]) -> None:
        await self._publish([(key_subject(person), who.to_json(), {}) for person, who in people.items()])

    async def _purge(self, persons: Sequence[str]) -> None:
        # No roll-up: what it removes stays in the file, and can be erased no more.
        await self._publish([(key_subject(person), b"", {"KV-Operation": "PURGE"}) for person in persons])

    async def _publish(self, messages: Sequence[tuple[str, bytes, dict[str, str]]]) -> None:
        for start in range(0, len(messages), _MOST_AT_ONCE):
            some = messages[start : start + _MOST_AT_ONCE]
            # The same once more changes nothing.
            await self._patience.wait(lambda seconds, some=some: publish_batch(self._connection, some, seconds))  # type: ignore[misc]

"""Who a person id is, looked up in the bucket that only registration writes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic import ValidationError

from contracts.enrolment import Correspondent, KnownPerson
from contracts.problem import Problem, ProblemError, problem_type
from contracts.subjects import CONTACTS
from services.chassis.broker import while_connected

_KEYS = f"$KV.{CONTACTS}."
_QUESTION = f"$JS.API.DIRECT.GET.KV_{CONTACTS}"
_MOST_KEYS = 500  # of 1024 that the server takes, in a request of at most some 30 kB
_PATIENCE = 5.0  # seconds
_ENDS = ("204", "404")


class Absence(Enum):
    """Why there is no contact."""

    ERASED = "erased"
    """The key was purged or deleted: the person was erased."""
    UNKNOWN = "unknown"
    """
    No such key, or nothing that can be read: after the loss of the broker's disk, registration may still be writing
    it again.
    """


Contact = KnownPerson | Absence


class ContactsUnavailable(Exception):  # noqa: N818
    """The bucket could not be read; it says nothing about anybody. Try again."""


class ReadsContacts(Protocol):
    """Where contacts come from."""

    async def of(self, people: Collection[str]) -> Mapping[str, Contact]:
        """The contacts of all these people. Raises ContactsUnavailable when asking again may help."""


async def for_staff(contacts: ReadsContacts, person: str) -> Contact:
    """
    One person's contact, for somebody who waits for the answer.

    Raises:
        ProblemError: the bucket could not be read; it says to try again.
    """
    try:
        return (await contacts.of({person}))[person]
    except ContactsUnavailable:
        raise ProblemError(
            Problem(
                type=problem_type("unavailable"),
                title="Contacts cannot be read at the moment",
                status=503,
                detail="The broker did not answer. Try again in a moment.",
            )
        ) from None


class Contacts:
    """
    The bucket, many keys by one request: a direct get of the last message on each of their subjects (ADR-31).

    Args:
        connection: whose user may ask for the bucket's keys.
    """

    def __init__(self, connection: Client) -> None:
        self._connection = connection

    async def of(self, people: Collection[str]) -> Mapping[str, Contact]:
        """
        The contacts of all these people, of one moment.

        Raises:
            ContactsUnavailable: one of them could not be read.
        """
        found: dict[str, Contact] = {}
        unique = sorted(set(people))
        try:
            for begin in range(0, len(unique), _MOST_KEYS):
                found |= await while_connected(self._connection, self._get(unique[begin : begin + _MOST_KEYS]))
        except (NatsError, TimeoutError) as error:
            raise ContactsUnavailable(type(error).__name__) from error
        return {person: found.get(person, Absence.UNKNOWN) for person in unique}

    async def _get(self, people: Sequence[str]) -> dict[str, Contact]:
        """Those of the people about whom the bucket says anything."""
        found: dict[str, Contact] = {}
        last: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def hear(message: Msg) -> None:
            headers = message.headers or {}
            status = headers.get("Status")
            if status is None:
                found[headers["Nats-Subject"].removeprefix(_KEYS)] = _contact(headers, message.data)
            elif not last.done():
                last.set_result(status)

        inbox = self._connection.new_inbox()
        subscription = await self._connection.subscribe(inbox, cb=hear)
        try:
            question = json.dumps({"multi_last": [f"{_KEYS}{person}" for person in people]})
            await self._connection.publish(_QUESTION, question.encode(), reply=inbox)
            async with asyncio.timeout(_PATIENCE):
                status = await last
        finally:
            # A connection that broke has forgotten the subscription.
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()
        # 204 ends a batch, 404 says that there is none of these keys.
        if status not in _ENDS:
            raise NatsError(f"the bucket answered with status {status}")
        return found


def _contact(headers: Mapping[str, str], body: bytes) -> Contact:
    if headers.get("KV-Operation") in {"DEL", "PURGE"}:
        return Absence.ERASED
    try:
        return Correspondent.model_validate_json(body)
    except ValidationError:
        # One entry that cannot be read must not stop everybody's mail; the error would repeat what it holds.
        return Absence.UNKNOWN

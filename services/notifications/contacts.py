"""Who a person id is, looked up in the bucket that only registration writes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from enum import Enum

from nats.aio.client import Client
from nats.errors import Error as NatsError
from pydantic import ValidationError

from contracts.enrolment import Person
from contracts.subjects import CONTACTS
from services.chassis.broker import while_connected


class Absence(Enum):
    """Why there is no contact."""

    ERASED = "erased"
    """The key was purged or deleted: the person was erased."""
    UNKNOWN = "unknown"
    """
    No such key, or nothing that can be read: after the loss of the broker's disk, registration may still be writing
    it again.
    """


Contact = Person | Absence


class ContactsUnavailable(Exception):  # noqa: N818
    """The bucket could not be read; it says nothing about anybody. Try again."""


class Contacts:
    """
    The bucket, read key by key with direct gets.

    Args:
        connection: whose user may ask for the bucket's keys.
    """

    def __init__(self, connection: Client) -> None:
        self._connection = connection

    async def of(self, people: Collection[str]) -> Mapping[str, Contact]:
        """
        The contacts of all these people, asked for at once.

        Raises:
            ContactsUnavailable: one of them could not be read.
        """
        unique = sorted(set(people))
        try:
            found = await while_connected(self._connection, asyncio.gather(*(self._get(person) for person in unique)))
        except NatsError as error:
            raise ContactsUnavailable(type(error).__name__) from error
        return dict(zip(unique, found, strict=True))

    async def _get(self, person: str) -> Contact:
        subject = f"$JS.API.DIRECT.GET.KV_{CONTACTS}.$KV.{CONTACTS}.{person}"
        message = await self._connection.request(subject, timeout=5)
        headers = message.headers or {}
        status = headers.get("Status")
        if status == "404":
            return Absence.UNKNOWN
        if status is not None:
            raise NatsError(f"the bucket answered with status {status}")
        if headers.get("KV-Operation") in {"DEL", "PURGE"}:
            return Absence.ERASED
        try:
            return Person.model_validate_json(message.data)
        except ValidationError:
            # One entry that cannot be read must not stop everybody's mail; the error would repeat what it holds.
            return Absence.UNKNOWN

"""
The streams, the bucket and the durable consumers: declared here, by one owner, and by no service.

``python -m deploy.topology`` brings a broker to what this module says: it creates what is missing, changes what
differs, and stops with a reason where a difference cannot be changed in place. It deletes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import nats
from nats.aio.client import Client
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    ReplayPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError
from nats.js.manager import JetStreamManager

from contracts import subjects
from deploy.identities import APPLICATION, CONTACTS_KEYS, CONTACTS_STREAM, PARTNERS, TOPOLOGY, access

MEBIBYTE = 1024 * 1024
DAY = 24 * 3600.0

LARGEST_INTAKE_MESSAGE = 768 * 1024
"""In bytes. Larger than registration accepts, so that it is registration that refuses, with an outcome to read."""
INTAKE_BATCH = 64
"""How many messages registration fetches at once: more are not handed out, so none grows old while it waits."""
OUTCOMES_KEPT = 30 * DAY
OUTCOMES_PER_SUBJECT = 100_000
"""So that one partner's flood drops its own oldest answers and never another's."""


class TopologyConflict(RuntimeError):  # noqa: N818 - it reads as what is wrong
    """The broker has something that cannot be brought to what is declared without losing messages."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream and the durable consumers on it."""

    config: StreamConfig
    consumers: tuple[ConsumerConfig, ...] = ()

    @property
    def name(self) -> str:
        """The stream's name."""
        if self.config.name is None:
            raise ValueError("a stream needs a name")
        return self.config.name


@dataclass(frozen=True, slots=True)
class Changes:
    """
    What declaring did, by name (``STREAM`` or ``STREAM/consumer``).

    ``undeclared`` are streams and consumers that the broker has and this module does not know: a partner that left,
    or a stranger's. They are named and left alone.
    """

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()

    def __add__(self, other: Changes) -> Changes:
        return Changes(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))


def _log(service: str, max_bytes: int) -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.log_stream(service),
            description=f"The facts of {service}, a copy of its own log with the same numbers",
            subjects=[subjects.log_subjects(service)],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            # A fact may never make room for a newer one: a full log stops its relay, and the relay says so.
            discard=DiscardPolicy.NEW,
            max_bytes=max_bytes,
            max_msg_size=MEBIBYTE,
            deny_delete=True,
            deny_purge=True,
            allow_direct=True,
            allow_atomic=True,
            duplicate_window=120.0,
            num_replicas=1,
        )
    )


def _contacts() -> Stream:
    """A bucket as nats-py would create it, but for the limits, and for atomic batches of people."""
    return Stream(
        StreamConfig(
            name=CONTACTS_STREAM,
            description="Who a person id is: written by registration, read by notifications alone",
            subjects=[CONTACTS_KEYS],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_msgs_per_subject=1,
            max_bytes=512 * MEBIBYTE,
            max_msg_size=64 * 1024,
            deny_delete=True,
            # Purging a key is a roll-up, and that is how a person is erased.
            allow_rollup_hdrs=True,
            allow_direct=True,
            allow_atomic=True,
            duplicate_window=120.0,
            num_replicas=1,
        )
    )


def _intake(partner: str) -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.intake_stream(partner),
            description=f"Requests of {partner}, until registration has answered them",
            subjects=[subjects.intake_of(partner)],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            # The newest request is refused to its sender's face rather than the oldest dropped behind its back.
            discard=DiscardPolicy.NEW,
            max_bytes=128 * MEBIBYTE,
            max_msg_size=LARGEST_INTAKE_MESSAGE,
            max_consumers=1,
            duplicate_window=120.0,
            num_replicas=1,
        ),
        (
            ConsumerConfig(
                name=subjects.INTAKE_READER,
                durable_name=subjects.INTAKE_READER,
                description="Registration decides each request",
                deliver_policy=DeliverPolicy.ALL,
                replay_policy=ReplayPolicy.INSTANT,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=30.0,
                # A crash counts as a delivery: with a limit the broker would give a request up without an answer.
                max_deliver=-1,
                max_ack_pending=INTAKE_BATCH,
            ),
        ),
    )


def _outcomes(partners: Iterable[str]) -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.OUTCOMES_STREAM,
            description="One answer for each request of a partner",
            subjects=[subjects.outcomes()],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            # Old answers go first: a full stream must not keep registration from answering anyone.
            discard=DiscardPolicy.OLD,
            max_age=OUTCOMES_KEPT,
            max_bytes=1024 * MEBIBYTE,
            max_msgs_per_subject=OUTCOMES_PER_SUBJECT,
            max_msg_size=MEBIBYTE,
            allow_atomic=True,
            duplicate_window=120.0,
            num_replicas=1,
        ),
        tuple(
            ConsumerConfig(
                name=partner,
                durable_name=partner,
                description=f"{partner} reads its answers",
                filter_subject=subjects.outcomes_of(partner),
                deliver_policy=DeliverPolicy.ALL,
                replay_policy=ReplayPolicy.INSTANT,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=30.0,
                max_deliver=-1,
                max_ack_pending=1000,
            )
            for partner in partners
        ),
    )


def streams_of(account: str, partners: Iterable[str]) -> tuple[Stream, ...]:
    """Every stream that an account is to have."""
    names = tuple(partners)
    if account == APPLICATION:
        return (_log("registration", 4096 * MEBIBYTE), _log("notifications", 2048 * MEBIBYTE), _contacts())
    if account == PARTNERS:
        return (*(_intake(name) for name in names), _outcomes(names))
    return ()


async def declare(application: Client, partners_account: Client, partners: Iterable[str]) -> Changes:
    """
    Bring both accounts to what is declared, over a connection to each. Safe to repeat at any time.

    Raises:
        TopologyConflict: something differs that cannot be changed in place; its message says what and how to go on.
    """
    names = tuple(partners)
    return await declare_streams(application, streams_of(APPLICATION, names)) + await declare_streams(
        partners_account, streams_of(PARTNERS, names)
    )


async def declare_streams(connection: Client, streams: Iterable[Stream]) -> Changes:
    """
    Bring one account to these streams and consumers.

    Raises:
        TopologyConflict: see ``declare``.
    """
    manager = connection.jsm()
    wanted = tuple(streams)
    result = Changes()
    for stream in wanted:
        result += await _declare_stream(manager, stream)
        for consumer in stream.consumers:
            result += await _declare_consumer(manager, stream.name, consumer)
    present = await _names(connection, "$JS.API.STREAM.NAMES", "streams")
    undeclared = [name for name in present if name not in {stream.name for stream in wanted}]
    for stream in wanted:
        if stream.consumers:
            known = {consumer.name for consumer in stream.consumers}
            found = await _names(connection, f"$JS.API.CONSUMER.NAMES.{stream.name}", "consumers")
            undeclared += [f"{stream.name}/{name}" for name in found if name not in known]
    return result + Changes(undeclared=tuple(undeclared))


async def _declare_stream(manager: JetStreamManager, stream: Stream) -> Changes:
    try:
        present = (await manager.stream_info(stream.name)).config
    except NotFoundError:
        await _ask(stream.name, "create", manager.add_stream(stream.config))
        present = (await manager.stream_info(stream.name)).config
        _verify(stream.name, stream.config, present)
        return Changes(created=(stream.name,))
    if not _differences(stream.config, present):
        return Changes(unchanged=(stream.name,))
    await _ask(stream.name, "change", manager.update_stream(stream.config))
    _verify(stream.name, stream.config, (await manager.stream_info(stream.name)).config)
    return Changes(updated=(stream.name,))


async def _declare_consumer(manager: JetStreamManager, stream: str, consumer: ConsumerConfig) -> Changes:
    name = consumer.name or ""
    label = f"{stream}/{name}"
    try:
        present = (await manager.consumer_info(stream, name)).config
    except NotFoundError:
        created = await _ask(label, "create", manager.add_consumer(stream, consumer))
        _verify(label, consumer, created.config)
        return Changes(created=(label,))
    if not _differences(consumer, present):
        return Changes(unchanged=(label,))
    changed = await _ask(label, "change", manager.add_consumer(stream, consumer))
    _verify(label, consumer, changed.config)
    return Changes(updated=(label,))


async def _ask(label: str, verb: str, request: Any) -> Any:
    try:
        return await request
    except APIError as error:
        raise TopologyConflict(
            f"the broker refuses to {verb} {label}: {error.description} (error {error.err_code}). Nothing was deleted."
            " Look at what is there with 'nats stream info', and move its messages before you remove it by hand."
        ) from error


def _verify(label: str, wanted: StreamConfig | ConsumerConfig, present: StreamConfig | ConsumerConfig) -> None:
    left = _differences(wanted, present)
    if left:
        listed = ", ".join(f"{name} is {found!r}, wanted {want!r}" for name, (found, want) in sorted(left.items()))
        raise TopologyConflict(f"the broker accepted {label} but did not take over: {listed}")


def _differences(
    wanted: StreamConfig | ConsumerConfig, present: StreamConfig | ConsumerConfig
) -> dict[str, tuple[object, object]]:
    """What is declared and differs, field by field: (found, wanted). A field left at None is the server's to choose."""
    differing: dict[str, tuple[object, object]] = {}
    for part in fields(wanted):
        want, found = getattr(wanted, part.name), getattr(present, part.name)
        if want is not None and want != found and not (_nothing(want) and _nothing(found)):
            differing[part.name] = (found, want)
    return differing


def _nothing(value: object) -> bool:
    """The server leaves out what is false, zero or unlimited."""
    return value in (None, False, 0, -1, "", [])


async def _names(connection: Client, subject: str, key: str) -> list[str]:
    names: list[str] = []
    while True:
        reply = await connection.request(subject, json.dumps({"offset": len(names)}).encode(), timeout=5)
        page = json.loads(reply.data)
        if "error" in page:
            raise TopologyConflict(f"{subject}: {page['error'].get('description')}")
        found = page.get(key) or []
        names += found
        if not found or len(names) >= page["total"]:
            return sorted(names)


async def connect(url: str, inbox_prefix: str, **options: Any) -> Client:
    """A connection for declaring: it gives up soon, for whoever started it waits."""
    failures: list[Exception] = []

    async def remember(error: Exception) -> None:
        failures.append(error)

    return await nats.connect(
        url,
        name="deelname topology",
        inbox_prefix=inbox_prefix.encode(),
        allow_reconnect=False,
        connect_timeout=5,
        error_cb=remember,
        **options,
    )


async def declare_at(
    application_url: str, partners_url: str, partners: Iterable[str], options: Mapping[str, Any] | None = None
) -> Changes:
    """Connect to both accounts, declare, and close: what ``python -m deploy.topology`` and the local mode do."""
    prefix = access(()).identity(TOPOLOGY).inbox_prefix
    application = await connect(application_url, prefix, **(options or {}))
    try:
        partners_account = await connect(partners_url, prefix, **(options or {}))
        try:
            return await declare(application, partners_account, partners)
        finally:
            await partners_account.close()
    finally:
        await application.close()


def main(arguments: list[str] | None = None) -> int:
    """Declare everything on the broker that the environment or the arguments name. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.topology", description=__doc__)
    parser.add_argument(
        "--application-url",
        default=os.environ.get("DEELNAME_NATS_URL"),
        help="user topology in account APP, nats://user:password@host:port (default: DEELNAME_NATS_URL)",
    )
    parser.add_argument(
        "--partners-url",
        default=os.environ.get("DEELNAME_PARTNERS_NATS_URL"),
        help="user topology_partners in account PARTNERS (default: DEELNAME_PARTNERS_NATS_URL)",
    )
    parser.add_argument(
        "--partners",
        default=os.environ.get("DEELNAME_PARTNERS", ""),
        help="comma-separated names (default: DEELNAME_PARTNERS)",
    )
    given = parser.parse_args(arguments)
    if not given.application_url or not given.partners_url:
        parser.error("both --application-url and --partners-url are needed")
    partners = [name.strip() for name in given.partners.split(",") if name.strip()]
    try:
        access(partners)
        changes = asyncio.run(declare_at(given.application_url, given.partners_url, partners))
    except (TopologyConflict, ValueError, OSError, nats.errors.Error) as error:
        print(f"topology: {error}", file=sys.stderr)
        return 1
    for word in ("created", "updated", "unchanged", "undeclared"):
        names = getattr(changes, word)
        if names:
            print(f"{word}: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

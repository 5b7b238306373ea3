"""
The streams, the bucket and the durable consumers: declared here, by one owner, and by no service.

``python -m deploy.topology`` brings a broker to what this module says: it creates what is missing, changes what
differs, and stops with a reason where a difference cannot be changed in place. It deletes nothing but what a service
fills again by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import APIError, NotFoundError
from nats.js.manager import JetStreamManager

from cli import proof
from cli.encryption import EncryptedClient, abandon, complaint, trusting
from contracts import subjects
from contracts.characters import visible
from deploy.identities import APPLICATION, PARTNERS, TOPOLOGY, access
from deploy.streams import ACK_WAIT, Stream, streams_of


class TopologyConflict(RuntimeError):  # noqa: N818 - it reads as what is wrong
    """The broker has something that cannot be brought to what is declared without losing messages."""


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


async def declare(
    application: Client,
    partners_account: Client,
    partners: Iterable[str],
    ack_wait: float = ACK_WAIT,
    replicas: int = 1,
) -> Changes:
    """
    Bring both accounts to what is declared, over a connection to each. Safe to repeat at any time.

    Raises:
        TopologyConflict: something differs that cannot be changed in place; its message says what and how to go on.
    """
    names = tuple(partners)
    return await declare_streams(
        application, streams_of(APPLICATION, names, replicas=replicas)
    ) + await declare_partners(partners_account, names, ack_wait, replicas)


async def declare_partners(
    connection: Client, partners: Iterable[str], ack_wait: float = ACK_WAIT, replicas: int = 1
) -> Changes:
    """
    Bring the partners' account to these partners, and each one's share of the answers to their number.

    Raises:
        TopologyConflict: see ``declare``.
    """
    former = await _answered(connection)
    return await declare_streams(connection, streams_of(PARTNERS, partners, ack_wait, replicas, former))


async def _answered(connection: Client) -> set[str]:
    """Who has answers in the stream, whether they are still partners or not."""
    try:
        found = await connection.jsm().stream_info(subjects.OUTCOMES_STREAM, subjects_filter=subjects.outcomes())
    except NotFoundError:
        return set()
    return {subject.split(".")[1] for subject in found.state.subjects or ()}


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
    if stream.copied and present.deny_delete and not stream.config.deny_delete:
        # The server never takes that back. With the stream go the files, and what an earlier release left in them.
        await _ask(stream.name, "delete", manager.delete_stream(stream.name))
        await _ask(stream.name, "create", manager.add_stream(stream.config))
    else:
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


async def connect(
    url: str, inbox_prefix: str, *, seed: str | Path | None = None, authority: str | Path | None = None
) -> Client:
    """
    A connection for operators: it gives up soon, for whoever started it waits.

    Args:
        url: one or several, parted by commas; ``tls://`` where plain text will not do.
        inbox_prefix: of the identity that connects.
        seed: the file of its nkey, unless the address holds a password.
        authority: the file (PEM) of whoever the broker's certificate must be of.

    Raises:
        nats.errors.Error: the broker does not answer, does not let us in, or cannot be believed.
        OSError: a file cannot be read, or holds no seed.
    """
    refusals: list[NatsError] = []

    async def remember(error: Exception) -> None:
        if reason := complaint(error, authority):
            refusals.append(NatsError(reason))

    encrypted = authority is not None or url.startswith("tls://")
    options: dict[str, Any] = {"nkeys_seed_str": proof.seed(Path(seed))} if seed else {}
    if authority is not None:
        options["tls"] = trusting(authority)
    connection = EncryptedClient() if encrypted else Client()
    try:
        await connection.connect(
            url.split(","),
            name="deelname topology",
            inbox_prefix=inbox_prefix.encode(),
            allow_reconnect=False,
            # Its first connection counts as reconnects in nats-py, and would go on for two minutes.
            max_reconnect_attempts=2,
            reconnect_time_wait=0.2,  # type: ignore[arg-type]  # nats-py types whole seconds and takes any number
            connect_timeout=5,
            error_cb=remember,
            **options,
        )
    except BaseException as error:
        # nats-py leaves the socket of an attempt that failed half way to the garbage collector.
        await abandon(connection)
        if refusals and isinstance(error, NatsError | OSError):
            raise refusals[0] from error
        raise
    return connection


async def declare_at(
    application_url: str,
    partners_url: str,
    partners: Iterable[str],
    *,
    application_seed: str | None = None,
    partners_seed: str | None = None,
    ack_wait: float = ACK_WAIT,
    authority: str | None = None,
    replicas: int = 1,
) -> Changes:
    """
    Connect to both accounts, declare, and close: what ``python -m deploy.topology`` and the local mode do.

    The seeds are paths of files that hold the nkeys of ``topology`` and ``topology_partners``; None when the addresses
    hold passwords.

    Raises:
        TopologyConflict: see ``declare``.
        nats.errors.Error: the broker does not answer, or does not let us in.
    """
    prefix = access(()).identity(TOPOLOGY).inbox_prefix
    application = await connect(application_url, prefix, seed=application_seed, authority=authority)
    try:
        partners_account = await connect(partners_url, prefix, seed=partners_seed, authority=authority)
        try:
            return await declare(application, partners_account, partners, ack_wait, replicas)
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
        help="user topology in account APP; with a password by DEELNAME_NATS_URL alone (its default)",
    )
    parser.add_argument(
        "--partners-url",
        default=os.environ.get("DEELNAME_PARTNERS_NATS_URL"),
        help="user topology_partners in account PARTNERS; likewise by DEELNAME_PARTNERS_NATS_URL",
    )
    parser.add_argument(
        "--application-seed",
        default=os.environ.get("DEELNAME_NATS_NKEY_SEED_FILE"),
        help="file with the nkey of topology (default: DEELNAME_NATS_NKEY_SEED_FILE)",
    )
    parser.add_argument(
        "--partners-seed",
        default=os.environ.get("DEELNAME_PARTNERS_NATS_NKEY_SEED_FILE"),
        help="file with the nkey of topology_partners (default: DEELNAME_PARTNERS_NATS_NKEY_SEED_FILE)",
    )
    parser.add_argument(
        "--authority",
        default=os.environ.get("DEELNAME_NATS_CA_FILE"),
        help="file (PEM) of whoever the broker's certificate is of (default: DEELNAME_NATS_CA_FILE)",
    )
    parser.add_argument(
        "--partners",
        default=os.environ.get("DEELNAME_PARTNERS", ""),
        help="comma-separated names (default: DEELNAME_PARTNERS)",
    )
    parser.add_argument(
        "--replicas",
        type=int,
        default=os.environ.get("DEELNAME_REPLICAS") or 1,
        help="how many servers of a cluster keep each stream (default: DEELNAME_REPLICAS, or 1)",
    )
    given = parser.parse_args(arguments)
    for option, variable in (("application_url", "NATS_URL"), ("partners_url", "PARTNERS_NATS_URL")):
        url = getattr(given, option) or ""
        if "@" in url and url != os.environ.get(f"DEELNAME_{variable}"):
            parser.error(f"others can see a password on a command line: give this URL as DEELNAME_{variable}")
    if not given.application_url or not given.partners_url:
        parser.error("both --application-url and --partners-url are needed")
    partners = [name.strip() for name in given.partners.split(",") if name.strip()]
    try:
        access(partners)
        changes = asyncio.run(
            declare_at(
                given.application_url,
                given.partners_url,
                partners,
                application_seed=given.application_seed,
                partners_seed=given.partners_seed,
                authority=given.authority,
                replicas=given.replicas,
            )
        )
    except (TopologyConflict, ValueError, OSError, nats.errors.Error) as error:
        print(visible(f"topology: {error}"), file=sys.stderr)
        return 1
    for word in ("created", "updated", "unchanged", "undeclared"):
        names = getattr(changes, word)
        if names:
            print(f"{word}: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

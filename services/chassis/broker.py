"""Connections to the broker that never lose a message silently and never live on half dead."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeVar

import structlog
from faststream.middlewares import AckPolicy
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout

from services.chassis.cancelling import cancel
from services.chassis.encryption import NotEncrypted, NotLetIn, abandon, distrust, trusting
from services.chassis.proof import check_seed
from services.chassis.publishing import Outbox

Result = TypeVar("Result")

_log = structlog.get_logger("chassis.broker")

CLOSED_WITHIN = 2.0
"""Seconds for each step of leaving a broker: hear whether it is there, let go of the subscriptions, close."""
_BETWEEN_CANCELLATIONS = 0.1

EXIT_CONNECTION_CLOSED = 70
"""Exit code of a process whose connection to the broker was closed for good (EX_SOFTWARE of sysexits.h)."""


_HEADER_NAMES = {
    name.encode(): name
    for name in (
        "Nats-Msg-Id",
        "Nats-Batch-Id",
        "Nats-Batch-Sequence",
        "Nats-Batch-Commit",
        "Nats-Expected-Last-Sequence",
        "Nats-Request-Info",
        "Nats-Stream",
        "Nats-Subject",
        "Nats-Sequence",
        "Nats-Time-Stamp",
        "Nats-Num-Pending",
        "Nats-Last-Sequence",
        "KV-Operation",
        "traceparent",
    )
}


class Connection(Client):
    """
    A client that knows whether it was closed on purpose, and that reads the headers of logs and calls quickly.

    ``outbox`` is for what may go out together, such as the answers to what was decided in one transaction.
    """

    closing = False
    leaving = False
    """Whether what can't be said at once need not be said any more: the service stops."""
    encrypted = False
    """Whether plain text will not do. nats-py goes on in plain text, whatever it was given, when no TLS is offered."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(self)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if self.encrypted and initial_connection and not info.get("tls_required"):
            raise NotEncrypted
        await super()._process_info(info, initial_connection)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        # Checking header names character by character is half of nats-py's work on a message of a log; the names that
        # relays write, and the one with which the broker marks each call from another account, need no check.
        headers = {}
        for line in raw.split(b"\r\n"):
            name, _, value = line.partition(b": ")
            known = _HEADER_NAMES.get(name)
            if known is not None:
                headers[known] = value.decode("utf-8", "replace")
            elif line:
                return Client._parse_header_lines(raw)
        return headers

    async def close(self) -> None:
        """See ``Client.close``; it takes ``CLOSED_WITHIN`` seconds at most, also when the other side does not read."""
        self.closing = True
        with contextlib.suppress(NatsTimeout):
            await _within(CLOSED_WITHIN, super().close())

    async def drain(self) -> None:
        """See ``Client.drain``."""
        self.closing = True
        await super().drain()


async def connect(
    url: str,
    name: str,
    user: str | None = None,
    password: str | None = None,
    nkey_seed_file: Path | str | None = None,
    *,
    ca_file: Path | str | None = None,
    probe: str | None = None,
) -> Connection:
    """
    A connection that waits for the broker, reconnects for ever, and ends the process when anyone but us closes it.

    A closed client would leave its readers waiting for ever and freezes FastStream's pull loop: a supervisor that
    starts the process again is the better cure (crash-only).

    Args:
        url: ``nats://host:port``, or ``tls://…`` where plain text will not do; several are parted by commas.
        name: shown in the broker's monitoring; ``_INBOX_<name>`` is the inbox prefix that the permissions know.
        user: with ``password``; or ``nkey_seed_file``, a file that holds the seed; or neither.
        ca_file: the authority (PEM) that the broker's certificate must be of; plain text will not do then.
        probe: a subject that nobody else may publish to, and on which an empty message does no harm, where others
            have inboxes of this name.

    Raises:
        NotLetIn: the broker refuses this user, takes it for another, or shows a certificate that cannot be believed.
        OSError: a file cannot be read.
    """
    connection = Connection()
    connection.encrypted = ca_file is not None or url.startswith("tls://")
    established = False
    proof = f"the seed in {nkey_seed_file}" if nkey_seed_file is not None else "its password"
    probing = refused = False

    async def failed(error: Exception) -> None:
        # Only while the first connection is made: raised later it would end nats-py's own reconnecting.
        nonlocal refused
        if probing and "permissions violation" in str(error).lower():
            refused = True
            return
        if not established:
            if "authorization" in str(error).lower():
                raise NotLetIn(f"the broker does not know '{name}' by {proof}") from error
            if refusal := distrust(error, ca_file):
                raise refusal from error
        _log.warning("broker connection error", client=name, error=str(error) or type(error).__name__)

    async def disconnected() -> None:
        if not connection.closing:
            _log.warning("broker disconnected", client=name)

    async def reconnected() -> None:
        _log.info("broker reconnected", client=name)

    async def closed() -> None:
        if established and not connection.closing:
            _log.critical("broker connection closed for good, the process ends", client=name)
            # What the log keeps back for a minute is written too (sparing.py).
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(EXIT_CONNECTION_CLOSED)

    credentials: dict[str, Any] = {}
    if nkey_seed_file is not None:
        check_seed(nkey_seed_file)
        credentials["nkeys_seed"] = str(nkey_seed_file)
    elif user is not None:
        credentials |= {"user": user, "password": password}
    if ca_file is not None:
        credentials["tls"] = trusting(ca_file)
    try:
        await connection.connect(
            url.split(","),
            name=name,
            inbox_prefix=inbox_prefix(name),
            max_reconnect_attempts=-1,
            # nats-py types whole seconds and takes any number.
            reconnect_time_wait=0.25,  # type: ignore[arg-type]
            connect_timeout=2,
            # A broker that stopped answering is noticed after three of these, not after four minutes.
            ping_interval=10,
            # Nothing is buffered while disconnected: what raised an error must not be stored later behind our back.
            pending_size=0,
            error_cb=failed,
            disconnected_cb=disconnected,
            reconnected_cb=reconnected,
            closed_cb=closed,
            **credentials,
        )
        established = probing = True
        await _tried_out(connection, probe)
        probing = False
        if refused:
            raise NotLetIn(f"the broker takes '{name}' for somebody else, by {proof}")
    except BaseException:
        # nats-py leaves the socket open when its error callback raises.
        await abandon(connection)
        raise
    return connection


async def _tried_out(connection: Client, probe: str | None) -> None:
    """
    Use what nobody else may use: who may not hear its own answers, or say what it is there to say, came as another.

    What the broker has against it goes to the error callback. That it is gone by now is no matter of who we are.
    """
    with contextlib.suppress(NatsError, TimeoutError):
        inbox = await connection.subscribe(connection.new_inbox())
        if probe is not None:
            await connection.publish(probe)
        # Twice: the first answer may be that to a ping of the connection's own.
        await connection.flush(2)
        await connection.flush(2)
        await inbox.unsubscribe()


def inbox_prefix(name: str) -> str:
    """The prefix of a client's inboxes: nobody else may listen to them, so that nobody reads another's replies."""
    return f"_INBOX_{name.replace('-', '_')}"


class _Broker(NatsBroker):
    """A FastStream broker over ``connect``: FastStream's own connection gives up reconnecting on some errors."""

    def __init__(self, connecting: Callable[[], Awaitable[Client]], url: str, client: str, **options: Any) -> None:
        super().__init__(url.split(","), **options)
        self._connecting = connecting
        self._client_name = client

    async def _connect(self) -> Client:
        connection = await self._connecting()
        self.config.connect(connection)
        return connection

    async def stop(self, *reason: Any) -> None:
        """See ``NatsBroker.stop``; a broker that is gone, or says nothing, is not waited for."""
        connection = self._connection
        if connection is not None and not await _is_there(connection):
            # What was not acknowledged it gives out again, and who was not answered asks again.
            _log.warning("the broker is gone and does not hear that we stop", client=self._client_name)
            self._connection = None
        try:
            await _within(CLOSED_WITHIN, super().stop(*reason))
        except TimeoutError:
            _log.warning("not waiting any longer for what is under way", client=self._client_name)
        finally:
            if connection is not None and not connection.is_closed:
                await connection.close()

    async def start(self) -> None:
        """See ``NatsBroker.start``; the broker knows of every subscription then, so that who asks is heard."""
        await super().start()
        if self._connection is not None:
            await _is_there(self._connection)


class Fetching(Protocol):
    """What a loop that fetches needs of a subscription."""

    async def fetch(self, batch: int = 1, timeout: float | None = 5, heartbeat: float | None = None) -> list[Msg]:  # noqa: ASYNC109
        """See ``PullSubscription.fetch``."""

    async def unsubscribe(self) -> None:
        """See ``PullSubscription.unsubscribe``."""


class GuardedPull:
    """
    A pull subscription that waits before it asks again when asking failed.

    FastStream's loop asks again at once when the stream or the consumer is gone (2,400 times a second), and ends on
    errors that it does not know. It looks the subscription up on each turn, which is where this one steps in.
    """

    def __init__(self, subscription: Fetching) -> None:
        self._subscription = subscription
        self._failures = 0

    async def fetch(self, batch: int = 1, timeout: float | None = 5, heartbeat: float | None = None) -> list[Msg]:  # noqa: ASYNC109
        """
        See ``PullSubscription.fetch``.

        Raises:
            nats.errors.TimeoutError: nothing came, for whatever reason.
        """
        try:
            messages = await self._subscription.fetch(batch=batch, timeout=timeout, heartbeat=heartbeat)
        except TimeoutError as error:
            # Nothing came. nats-py says so by its own error or, between two of its steps, by asyncio's.
            self._failures = 0
            raise NatsTimeout from error
        except (NatsError, OSError) as error:
            if self._failures == 0:
                _log.warning("fetching failed", error=str(error) or type(error).__name__)
            self._failures += 1
            await asyncio.sleep(min(0.1 * 2 ** min(self._failures, 6), 2.0) * random.uniform(0.5, 1.0))  # noqa: S311
            raise NatsTimeout from error
        self._failures = 0
        return messages

    async def unsubscribe(self) -> None:
        """See ``PullSubscription.unsubscribe``."""
        await self._subscription.unsubscribe()


def faststream_broker(
    url: str,
    name: str,
    user: str | None = None,
    password: str | None = None,
    nkey_seed_file: Path | str | None = None,
    *,
    ca_file: Path | str | None = None,
) -> NatsBroker:
    """
    A FastStream broker with the connection of ``connect``, for handlers that take raw messages.

    Types are applied by the handlers themselves and nothing is logged a message: FastStream's ways cost two to four
    times the whole rest. Nothing is acknowledged but by a handler.
    """
    return _Broker(
        lambda: connect(url, name, user, password, nkey_seed_file, ca_file=ca_file),
        url,
        name,
        apply_types=False,
        # Nothing is validated for us, and making a model for each of thirty calls took a sixth of a start.
        serializer=None,
        logger=None,
        ack_policy=AckPolicy.MANUAL,
        inbox_prefix=inbox_prefix(name),
        graceful_timeout=15.0,
    )


async def while_connected(connection: Client, request: Awaitable[Result], within: float = 6) -> Result:
    """
    The result of ``request``, but give up at once when the connection breaks: the answer can no longer come.

    Raises:
        nats.errors.TimeoutError: no answer ``within`` these seconds.
        ConnectionLost: the connection broke; whether the request was carried out is unknown.
    """
    reconnects = connection.stats["reconnects"]
    task = asyncio.ensure_future(request)
    deadline = monotonic() + within
    try:
        while True:
            await asyncio.wait({task}, timeout=min(0.1, max(0.0, deadline - monotonic())))
            if task.done():
                return task.result()
            if not connection.is_connected or connection.stats["reconnects"] != reconnects:
                raise ConnectionLost
            if monotonic() >= deadline:
                raise NatsTimeout
    finally:
        if not task.done():
            task.cancel()


async def _is_there(connection: Client) -> bool:
    """Whether the broker answers soon."""
    if not connection.is_connected:
        return False
    try:
        await _within(CLOSED_WITHIN, connection.flush())
    except (NatsError, OSError):
        return False
    return True


async def _within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """
    As ``asyncio.timeout``, but for work that loses a cancellation or takes it for something else, as nats-py does.

    Raises:
        nats.errors.TimeoutError: it was not done within these seconds, and was ended.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return await task
        raise NatsTimeout
    finally:
        await cancel([task], _BETWEEN_CANCELLATIONS)


class ConnectionLost(NatsError):  # noqa: N818
    """The connection broke while an answer was awaited."""

    def __str__(self) -> str:
        return "the connection to the broker broke while an answer was awaited"

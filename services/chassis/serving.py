"""HTTP inside a service's event loop: uvicorn speaks it, and which connections it is given, and how long, is ours."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.chassis.connections import Admission, Connection, Connections, Phase, most_connections

_log = structlog.get_logger("chassis.serving")

_CONNECTION: Final = "deelname.connection"
"""Under which a request's state has its connection, between uvicorn and ``Followed``."""
_BACKLOG: Final = 1024
_MOST_A_TURN: Final = 64
"""Connections that are accepted before the loop looks at others again."""
_LARGEST_HEAD: Final = 16 * 1024
_PIECE: Final = 4 * 1024
_BREATH: Final = 0.1
_TICK: Final = 1.0
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Door:
    """
    Accepts connections, as many as may come in; whom it turns away costs no more than the accepting.

    asyncio's own accepts without bound, and where descriptors run out it logs two thousand lines a second.
    """

    def __init__(
        self, listening: socket.socket, connections: Connections, protocol: Callable[[Connection], asyncio.Protocol]
    ) -> None:
        listening.setblocking(False)
        self._socket = listening
        self._connections = connections
        self._protocol = protocol
        self._entering: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to accept."""
        self._pause = None
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Accept no more, and be gone from the port."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _accept(self) -> None:
        for taken in range(_MOST_A_TURN):
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._take_breath(error, taken)
                return
            connection = self._connections.admit(address[0])
            if connection is None:
                accepted.close()
                continue
            task = asyncio.get_running_loop().create_task(self._enter(accepted, connection))
            self._entering.add(task)
            task.add_done_callback(self._entering.discard)

    def _take_breath(self, error: OSError, taken: int) -> None:
        _log.error("connections cannot be accepted", reason=str(error))
        if error.errno in _NO_DESCRIPTOR and not taken:
            # Not even one, since the last breath.
            self._connections.make_room()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._pause = loop.call_later(_BREATH, self.open)

    async def _enter(self, accepted: socket.socket, connection: Connection) -> None:
        try:
            accepted.setblocking(False)
            # An answer's head and body are two writes; asyncio sees to that only where the socket names its protocol.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self._protocol(connection), accepted)
        except OSError:
            accepted.close()
            self._connections.left(connection)


class Bounded(asyncio.Protocol):
    """What uvicorn does with a connection, with its end seen to and no failure of it worth a traceback."""

    def __init__(self, inner: asyncio.Protocol, connection: Connection, connections: Connections) -> None:
        self._inner = inner
        self._connection = connection
        self._connections = connections
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._connection.abort = transport.abort
        self._connection.is_closing = transport.is_closing
        self._connection.unsent = transport.get_write_buffer_size
        self._inner.connection_made(transport)
        if self._connection.ended:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        assert self._transport is not None  # noqa: S101
        if self._connection.phase is Phase.WAITING:
            self._connections.enter(self._connection, Phase.HEAD)
        try:
            # h11 lets a head be as large as it may be and as what comes at once.
            for begin in range(0, len(data), _PIECE):
                if not self._transport.is_closing():
                    self._inner.data_received(data[begin : begin + _PIECE])
        except Exception as error:
            # uvicorn answers what it can't read, also where an answer was given already: h11 does not let it.
            _log.warning("a connection was cut off for what it sent", reason=type(error).__name__)
            self._transport.abort()

    def eof_received(self) -> bool | None:
        """See ``asyncio.Protocol``."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._connections.left(self._connection)
        self._inner.connection_lost(exc)


class Followed:
    """Plain ASGI around an application: its requests tell their connections how far they are."""

    def __init__(self, app: ASGIApp, connections: Connections) -> None:
        self._app = app
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Follow one request."""
        connection: Connection = scope["state"].pop(_CONNECTION)
        enter = self._connections.enter
        whole = not _has_body(scope)
        enter(connection, Phase.ANSWERING if whole else Phase.BODY)

        async def receive_following() -> Message:
            nonlocal whole
            message = await receive()
            if not whole and message["type"] == "http.request" and not message.get("more_body"):
                whole = True
                enter(connection, Phase.ANSWERING)
            return message

        async def send_following(message: Message) -> None:
            # uvicorn hands on a request and answers what is wrong with its body at once, in one go.
            if connection.is_closing():
                return
            last = message["type"] == "http.response.body" and not message.get("more_body")
            if not whole:
                await send(message)
                if last:
                    enter(connection, Phase.REST)
                return
            enter(connection, Phase.TAKING)
            await send(message)
            if not last:
                enter(connection, Phase.ANSWERING)
            elif not connection.unsent():
                enter(connection, Phase.WAITING)

        await self._app(scope, receive_following, send_following)
        if connection.is_closing():
            # What was not answered because there is nobody to answer is a failure to uvicorn until it knows that too.
            while (await receive())["type"] != "http.disconnect":
                pass


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
        for name, value in scope["headers"]
    )


class Server(uvicorn.Server):
    """uvicorn inside our loop: sockets, signals and logging are ours."""

    def __init__(self, app: ASGIApp, host: str, port: int, admission: Admission) -> None:
        # uvicorn would end the process from inside when the port is taken; this raises OSError.
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
        )
        self.address = f"http://{host}:{listening.getsockname()[1]}"
        self._connections = Connections(admission, most_connections())
        self._door = Door(listening, self._connections, self._protocol)
        super().__init__(
            uvicorn.Config(
                Followed(app, self._connections),
                http=H11Protocol,
                h11_max_incomplete_event_size=_LARGEST_HEAD,
                log_config=None,
                access_log=False,
                server_header=False,
                # Its own reading of X-Forwarded-For believes whoever is on this machine; access.py reads our settings.
                proxy_headers=False,
                timeout_graceful_shutdown=5,
                lifespan="off",
                ws="none",
            )
        )
        self._ending = asyncio.Event()

    def _protocol(self, connection: Connection) -> asyncio.Protocol:
        inner = H11Protocol(self.config, self.server_state, {_CONNECTION: connection})
        return Bounded(inner, connection, self._connections)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: they stop the whole service."""
        yield

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then finish the requests under way."""
        # uvicorn listens at no socket: the door hands it connections.
        serving = asyncio.create_task(self.serve([]))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self.should_exit = True
            self._ending.set()
        await serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self._door.open()

    async def main_loop(self) -> None:
        """
        Keep the header Date right and end what is overdue, until the end.

        uvicorn's own looks ten times a second whether it should end, which was a third of what an idle service costs.
        """
        while not await self.on_tick(0):
            self._connections.end_overdue()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and finish the requests under way."""
        self._door.close()
        await super().shutdown(sockets)

    def release(self) -> None:
        """Close the socket, also when it was never served, and whatever is left of connections."""
        self._door.close()
        self._connections.end_all()

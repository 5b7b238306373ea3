"""
A TCP proxy between a client and the broker that cuts the line at the worst moment, has a request go nowhere, or lets
nothing through for a while without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from deploy.embedded import free_port


class Proxy:
    """
    Passes bytes on in both directions.

    Attributes:
        cuts: how many times the line was cut.
        lost: how many pieces went nowhere.
    """

    def __init__(self, upstream: int) -> None:
        self.port = free_port()
        self.cuts = 0
        self.lost = 0
        self._mark: bytes | None = None
        self._losing: bytes | None = None
        self._upstream = upstream
        self._passing = asyncio.Event()
        self._passing.set()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def cut_once_behind(self, mark: bytes) -> None:
        """Let the next piece that holds ``mark`` through to the broker, keep its answer back, and cut the line."""
        self._mark = mark

    def lose_one(self, mark: bytes) -> None:
        """Have the next piece that holds ``mark`` go nowhere, as a request to a stream that has no leader does."""
        self._losing = mark

    def hold(self) -> None:
        """Let nothing through from now on; nobody is told, as where a network is cut in the middle."""
        self._passing.clear()

    def release(self) -> None:
        """Let through what was held, and everything again."""
        self._passing.set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.close()
            return
        answers = asyncio.create_task(self._pass_on(upstream_reader, writer))
        try:
            while piece := await reader.read(65536):
                await self._passing.wait()
                if self._losing is not None and self._losing in piece:
                    self._losing = None
                    self.lost += 1
                    continue
                cut = self._mark is not None and self._mark in piece
                if cut:
                    self._mark = None
                    answers.cancel()
                upstream_writer.write(piece)
                await upstream_writer.drain()
                if cut:
                    self.cuts += 1
                    # The broker answers into the void before the line is cut.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.2):
                            await upstream_reader.read(65536)
                    break
        except OSError:
            pass
        finally:
            answers.cancel()
            for end in (writer, upstream_writer):
                end.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                await self._passing.wait()
                writer.write(piece)
                await writer.drain()
            writer.close()

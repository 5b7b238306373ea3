"""TLS to the broker: an authority of one's own, and no falling back to plain text."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from cli.failure import Failure
from cli.reading import SMALL, octets

_CLOSED_WITHIN = 0.5


def _worth_telling(record: logging.LogRecord) -> bool:
    """All but what asyncio says of each TLS connection of nats-py that ends: it means nothing to who types commands."""
    return "eof_received()" not in record.getMessage()


logging.getLogger("asyncio").addFilter(_worth_telling)


class NotEncrypted(NatsError):  # noqa: N818 - it reads as what is wrong
    """The broker, or whoever stands in its place, offers no TLS."""

    def __str__(self) -> str:
        return "the broker offers no TLS, and this connection must not be plain text"


class EncryptedClient(Client):
    """A client that speaks TLS or not at all: nats-py by itself goes on in plain text when the server asks for none."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and not info.get("tls_required"):
            raise NotEncrypted
        await super()._process_info(info, initial_connection)


def trusting(authority: Path | str) -> ssl.SSLContext:
    """
    What ``nats.connect(tls=…)`` takes so that certificates of this authority, and no others, are believed.

    Raises:
        OSError: the file cannot be read, or is no certificate (ssl.SSLError); the message names it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=octets(Path(authority), SMALL).decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise OSError(f"{authority} holds no certificate (PEM)") from error
    except Failure as failure:
        raise OSError(failure.what.removesuffix(".")) from None
    return context


def complaint(error: BaseException, authority: Path | str | None) -> str | None:
    """What to tell about a failed connection when TLS was what failed, in one line; None when it was not."""
    if isinstance(error, NotEncrypted):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        if authority is None:
            return "the broker speaks TLS with a certificate that nobody here vouches for: name its authority (ca.pem)"
        return f"the broker's certificate is not one that {authority} vouches for: {error.verify_message}"
    return None


async def abandon(client: Client) -> None:
    """Close a client whose connection failed. Half way through TLS, asyncio waits for ever for its end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSED_WITHIN):
            await client.close()

"""TLS to the broker: an authority of one's own, and no falling back to plain text."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError

_CLOSED_WITHIN = 0.5


class NotLetIn(NatsError):  # noqa: N818 - it reads as what is wrong
    """There will be no connection to the broker before somebody has changed something; it says what, in words."""


class NotEncrypted(NotLetIn):
    """The broker, or whoever stands in its place, offers no TLS."""

    def __str__(self) -> str:
        return "the broker offers no TLS, and DEELNAME_NATS_CA_FILE or tls:// demands it"


class NotTrusted(NotLetIn):
    """The broker's certificate is not one that we were told to believe."""


def trusting(authority: Path | str) -> ssl.SSLContext:
    """
    What a client checks the broker's certificate with: this authority, and no other, and the name it connected to.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError as error:
        raise OSError(f"DEELNAME_NATS_CA_FILE: {authority} holds no certificate (PEM)") from error
    except OSError as error:
        raise OSError(f"DEELNAME_NATS_CA_FILE: {authority} cannot be read: {error.strerror}") from error
    return context


def distrust(error: BaseException, authority: Path | str | None) -> NatsError | None:
    """The error to end with when a connection failed because of TLS, saying what to do; None when it did not."""
    if isinstance(error, NotEncrypted):
        return error
    if not isinstance(error, ssl.SSLCertVerificationError):
        return None
    if authority is None:
        return NotTrusted(
            f"the broker speaks TLS and its certificate is not one that this machine believes ({error.verify_message}):"
            " set DEELNAME_NATS_CA_FILE to its authority's certificate"
        )
    return NotTrusted(f"the broker's certificate is not one that {authority} vouches for: {error.verify_message}")


async def abandon(client: Client) -> None:
    """Close a client whose connection failed. Half way through TLS, asyncio waits for ever for its end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSED_WITHIN):
            await client.close()

"""What the broker's troubles mean to whoever typed a command, and which of them pass by themselves."""

from __future__ import annotations

import nats.errors
import nats.js.errors

TROUBLES = (nats.errors.Error, OSError, TimeoutError)
"""All that a client of the broker raises; ``TimeoutError`` of asyncio among them."""

_CLOSED = (
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionDrainingError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.StaleConnectionError,
    nats.errors.OutboundBufferLimitError,
    nats.errors.NoServersError,
)
_NOBODY = (nats.js.errors.NoStreamResponseError, nats.errors.NoRespondersError)
_UNAVAILABLE = (None, 0, 10008)
"""What JetStream adds to a 503 while nobody answers for a stream; a stream that is full says 503 too, with another."""


def broken(error: BaseException) -> bool:
    """Whether the connection is gone: the server that it led to was stopped, or is being stopped."""
    return isinstance(error, _CLOSED) or (isinstance(error, OSError) and not isinstance(error, TimeoutError))


def _unanswered(error: BaseException) -> bool:
    if isinstance(error, nats.js.errors.APIError):
        return error.code == 503 and error.err_code in _UNAVAILABLE
    return isinstance(error, _NOBODY)


def passes(error: BaseException) -> bool:
    """
    Whether it is worth trying again: a server of the broker stops or starts, or servers elect a leader.

    Silence is among it: while there is no leader nobody answers at all.
    """
    return broken(error) or _unanswered(error) or isinstance(error, TimeoutError)


def in_words(error: BaseException) -> str:
    """What has happened, as the middle of a sentence."""
    if isinstance(error, (ConnectionRefusedError, nats.errors.NoServersError)):
        return "no server of it takes connections"
    if broken(error):
        return "the connection to the broker broke: its server stops, or is gone"
    if _unanswered(error):
        return "no server of the broker answers for it at the moment: they elect a leader, or it is not declared"
    if isinstance(error, TimeoutError):
        return "the broker does not answer: its servers elect a leader, or none runs"
    description = getattr(error, "description", None)
    return f"the broker refuses: {description or error or type(error).__name__}"

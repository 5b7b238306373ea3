"""
What every request over HTTP passes before any route: who asks, from where, and how often.

``/health`` and ``/metrics`` pass unseen. They hold no personal data, and whoever may reach them is the network's to say
(deploy/kubernetes).
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.problem import Problem, problem_type
from services.chassis.access import Gate, Unconfirmed, header_values
from services.chassis.problems import problem_response
from services.chassis.sources import source_of

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_COST_OF_A_CHANGE: Final = 5
_MOST_REMEMBERED: Final = 50_000
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Buckets:
    """
    How much each address may still ask for: a bucket that holds a minute's worth and fills up evenly.

    An IPv6 network of 64 bits counts as one address: whoever has one has them all. The addresses that asked longest ago
    are forgotten where there are too many; a full bucket and none are the same.
    """

    def __init__(
        self, a_minute: int, now: Callable[[], float] = time.monotonic, most_remembered: int = _MOST_REMEMBERED
    ) -> None:
        """``a_minute`` requests, of which one that changes something counts for five."""
        self._size = float(a_minute)
        self._rate = a_minute / 60
        self._now = now
        self._most = most_remembered
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, cost: int) -> float:
        """Nought if the request may come in, or the seconds after which it may."""
        key, now = source_of(address), self._now()
        left, at = self._left.pop(key, (self._size, now))
        left = min(self._size, left + (now - at) * self._rate)
        cost = min(cost, int(self._size))
        fits = left >= cost
        self._left[key] = (left - cost if fits else left, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return 0.0 if fits else (cost - left) / self._rate


class Guard:
    """What ``application`` puts in front of the routes; ``buckets`` is None where nobody is held back."""

    def __init__(self, gate: Gate | None = None, buckets: Buckets | None = None) -> None:
        self.gate = gate or Gate()
        self.buckets = buckets

    @classmethod
    def of(cls, gate: Gate, a_minute: int) -> Guard:
        """With so many requests a minute for each address that shows no credentials; nought does not count."""
        return cls(gate, Buckets(a_minute) if a_minute else None)


class Guarded:
    """
    Plain ASGI; routes find the ``Caller`` in ``request.state.caller``.

    ``request.state.unconfirmed`` says that somebody came with a token of which nobody can say whether it still is good,
    ``request.state.source`` where the request comes from.
    """

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._look_at(scope)
        answer = problem_response(*refused) if refused else self._app
        await answer(scope, receive, self._with_hsts(send) if self._guard.gate.proxy.encrypted(scope) else send)

    def _look_at(self, scope: Scope) -> tuple[Problem, dict[str, str]] | None:
        """Find out who asks, and why they may not."""
        unseen = scope["path"].startswith("/health/") or scope["path"] == "/metrics"
        gate, buckets = self._guard.gate, self._guard.buckets
        caller, unconfirmed = None, False
        if not unseen:
            try:
                caller = gate.caller(scope)
            except Unconfirmed:
                unconfirmed = True
        client = gate.proxy.client(scope)
        scope.setdefault("state", {}).update(caller=caller, unconfirmed=unconfirmed, source=source_of(client))
        safe = scope["method"] in _SAFE
        # Before anything is refused for another reason: what is refused counts too.
        if caller is None and buckets and not unseen:
            wait = buckets.take(client, 1 if safe else _COST_OF_A_CHANGE)
            if wait:
                return _TOO_MANY, {"Retry-After": str(math.ceil(wait))}
        if _is_ambiguous(scope):
            return _AMBIGUOUS, {"Connection": "close"}
        if not safe and _from_elsewhere(scope):
            return _FROM_ELSEWHERE, {}
        return None

    @staticmethod
    def _with_hsts(send: Send) -> Send:
        async def send_with_hsts(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", []).append(_HSTS)
            await send(message)

        return send_with_hsts


_TOO_MANY = Problem(
    type=problem_type("too-many-requests"),
    title="Too many requests",
    status=429,
    detail="So many requests came from this address that this one has to wait; Retry-After says for how many seconds.",
)
_FROM_ELSEWHERE = Problem(
    type=problem_type("from-elsewhere"),
    title="Sent by another site",
    status=403,
    detail="A page of another site made the browser send this. Open the form here and send it from there.",
)


_AMBIGUOUS = Problem(
    type=problem_type("ambiguous"),
    title="Two lengths",
    status=400,
    detail="The request says in two ways how long its body is. Send Content-Length or Transfer-Encoding, and not both.",
)


def _is_ambiguous(scope: Scope) -> bool:
    """
    Whether a proxy in front may have taken something else for the request's end than we do (RFC 9112 §6.1, §6.3).

    That is how requests are smuggled past a proxy: whatever follows on this connection is not believed either.
    """
    coded = header_values(scope, b"transfer-encoding")
    return bool(coded) and (scope["http_version"] != "1.1" or bool(header_values(scope, b"content-length")))


def _from_elsewhere(scope: Scope) -> bool:
    """
    Whether a browser says that a page of another origin sends this.

    Sec-Fetch-Site says so where there is TLS or the machine is this one, Origin everywhere else (Fetch §3.2). What is
    no browser sends neither: it also holds no credentials that somebody else could make it use.
    """
    sites = header_values(scope, b"sec-fetch-site")
    if sites:
        # "none" is a person who typed an address, or came by a bookmark.
        return not set(sites) <= {"same-origin", "none"}
    hosts = {host.lower() for host in header_values(scope, b"host")}
    return any({_authority(origin)} != hosts for origin in header_values(scope, b"origin"))


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None

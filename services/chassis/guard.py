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
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.problem import Problem, problem_type
from services.chassis.access import Gate, Unconfirmed
from services.chassis.problems import problem_response

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
        key, now = _neighbourhood(address), self._now()
        left, at = self._left.pop(key, (self._size, now))
        left = min(self._size, left + (now - at) * self._rate)
        cost = min(cost, int(self._size))
        fits = left >= cost
        self._left[key] = (left - cost if fits else left, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return 0.0 if fits else (cost - left) / self._rate


def _neighbourhood(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return parsed.packed[:8].hex()
    return str(parsed)


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
        if scope["type"] != "http" or scope["path"].startswith("/health/") or scope["path"] == "/metrics":
            await self._app(scope, receive, send)
            return
        gate = self._guard.gate
        caller, unconfirmed = None, False
        try:
            caller = gate.caller(scope)
        except Unconfirmed:
            unconfirmed = True
        source = _neighbourhood(gate.proxy.client(scope))
        scope.setdefault("state", {}).update(caller=caller, unconfirmed=unconfirmed, source=source)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", []).append(_HSTS)
            await send(message)

        sending = send_with_headers if gate.proxy.encrypted(scope) else send
        safe = scope["method"] in _SAFE
        if not safe and _from_elsewhere(scope):
            await problem_response(_FROM_ELSEWHERE)(scope, receive, sending)
            return
        if caller is None and self._guard.buckets:
            wait = self._guard.buckets.take(gate.proxy.client(scope), 1 if safe else _COST_OF_A_CHANGE)
            if wait:
                headers = {"Retry-After": str(math.ceil(wait))}
                await problem_response(_TOO_MANY, headers)(scope, receive, sending)
                return
        await self._app(scope, receive, sending)


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


def _from_elsewhere(scope: Scope) -> bool:
    """
    Whether a browser says that a page of another origin sends this.

    Sec-Fetch-Site says so where there is TLS or the machine is this one, Origin everywhere else (Fetch §3.2). What is
    no browser sends neither: it also holds no credentials that somebody else could make it use.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        # "none" is a person who typed an address, or came by a bookmark.
        return site not in {"same-origin", "none"}
    origin = headers.get(b"origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get(b"host", "").lower()

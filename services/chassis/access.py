"""
Who asks over HTTP, and what they may do.

Staff prove themselves by a token of ours, or come by a proxy that has signed them in (OpenID Connect) and says so in
headers. Headers from any other address are not looked at. Which endpoints ask for which role, docs/http.md lists.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final, Literal

from fastapi import Request, Security
from fastapi.security import HTTPBasic, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.types import Scope

from contracts.access import ROLES, Role
from services.chassis.sources import read_address

_PREFIX: Final = "deelname"
_SECRET_BYTES: Final = 32
_LONGEST_SUBJECT: Final = 250
_NOBODY: Final = hashlib.sha256(b"").hexdigest()

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Somebody of the staff.

    ``name`` is the account for a token, the subject for somebody whom the proxy signed in, the user for somebody who
    came by the broker.
    """

    kind: Literal["token", "proxy", "broker"]
    name: str
    role: Role | None
    organisations: frozenset[str] = frozenset()

    @property
    def actor(self) -> str | None:
        """
        What facts call them; None for whom a proxy signed in.

        What the proxy calls somebody may be their address: registration gives them an account, which facts name
        instead.
        """
        return None if self.kind == "proxy" else f"{self.kind}:{self.name}"

    def may(self, role: Role) -> bool:
        """Whether this role, or one that may do more, is theirs."""
        return self.role is not None and ROLES.index(self.role) >= ROLES.index(role)


# Tokens --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token: enough to know it again, too little to use it."""

    account: str
    digest: str
    role: Role
    organisations: tuple[str, ...] = ()
    expires: datetime | None = None


def new_token(account: str) -> tuple[str, str]:
    """A new secret for an account, as its owner keeps it, and its digest, as we do."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    return f"{_PREFIX}_{account}_{secret}", digest(secret)


def digest(secret: str) -> str:
    """
    SHA-256 in hexadecimal digits.

    A slow hash protects what people think up. A secret of 256 random bits can't be tried out whatever the hash costs.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Unconfirmed(Exception):  # noqa: N818 - it reads as what is wrong
    """A token is good by what is known here, and that is too old to go by: it may have been revoked since."""


class Verifier:
    """
    Knows tokens again.

    Args:
        find: what is kept of the token of an account, if there is one that was not revoked.
        clock: for expiry and the day of use.
        used: told of the account and the day whenever a token was good.
        outdated: whether what ``find`` knows may lack a revocation that is too long ago to be excused.
    """

    def __init__(
        self,
        find: Callable[[str], Token | None],
        clock: Callable[[], datetime],
        used: Callable[[str, date], None] = lambda _account, _day: None,
        outdated: Callable[[], bool] = lambda: False,
    ) -> None:
        self._find = find
        self._clock = clock
        self._used = used
        self._outdated = outdated

    def __call__(self, text: str) -> Caller | None:
        """
        Whose token this is; None if it is nobody's, or no longer.

        Raises:
            Unconfirmed: whether it still is somebody's cannot be said.
        """
        prefix, _, rest = text.partition("_")
        account, _, secret = rest.partition("_")
        if prefix != _PREFIX:
            return None
        known = self._find(account)
        # For an unknown account the same work is done, so that time does not tell which accounts there are.
        right = hmac.compare_digest(digest(secret), known.digest if known else _NOBODY)
        now = self._clock()
        if known is None or not right or (known.expires is not None and known.expires <= now):
            return None
        if self._outdated():
            raise Unconfirmed
        self._used(account, now.date())
        return Caller("token", account, known.role, frozenset(known.organisations))


# The proxy -----------------------------------------------------------------------------------------------------------


class InvalidProxy(ValueError):  # noqa: N818 - it reads as what is wrong
    """The settings of the proxy can't be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """
    The proxy in front: where its requests come from, and the headers by which it says who was signed in.

    Without ``subject_header`` it is trusted with addresses only. ``groups`` says what a group of people may do; who is
    in several may do what each of them may.
    """

    networks: tuple[Network, ...] = ()
    subject_header: str | None = None
    groups_header: str | None = None
    groups: Mapping[str, tuple[Role, frozenset[str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, addresses: str, subject_header: str | None, groups_header: str | None, groups: str) -> Proxy:
        """
        Read it from settings.

        ``addresses`` are addresses or networks parted by commas. ``groups`` is ``group=role`` parted by commas, with
        an organiser's organisations behind a colon, joined by ``+``: ``staff=viewer,zeist=organiser:bieb-zeist+spn``.

        Raises:
            InvalidProxy: one of them is none of that, or headers are named and no address that may send them.
        """
        try:
            networks = tuple(ip_network(part.strip()) for part in addresses.split(",") if part.strip())
        except ValueError as error:
            raise InvalidProxy(f"a proxy's address: {error}") from None
        if subject_header and not networks:
            raise InvalidProxy("a header that says who was signed in needs the address of the proxy that sends it")
        read = dict(_group(part.strip()) for part in groups.split(",") if part.strip())
        lower = [name.lower() if name else None for name in (subject_header, groups_header)]
        return cls(networks, lower[0], lower[1], read)

    def trusts(self, address: str) -> bool:
        """Whether a request from this address is the proxy's."""
        parsed = read_address(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def client(self, scope: Scope) -> str:
        """The address of whoever asked: the last one in X-Forwarded-For that is not a proxy of ours."""
        peer = (scope.get("client") or ("", 0))[0]
        if not self.trusts(peer):
            return str(peer)
        for hop in reversed(",".join(header_values(scope, b"x-forwarded-for")).split(",")):
            if read_address(hop.strip()) is None:
                break
            if not self.trusts(hop.strip()):
                return hop.strip()
        return str(peer)

    def encrypted(self, scope: Scope) -> bool:
        """Whether whoever asked did so by TLS."""
        if scope.get("scheme") == "https":
            return True
        peer = (scope.get("client") or ("", 0))[0]
        return self.trusts(peer) and header_values(scope, b"x-forwarded-proto") == ["https"]

    def caller(self, scope: Scope) -> Caller | None:
        """Who was signed in, if this is the proxy's request and it says so exactly once."""
        if self.subject_header is None or not self.trusts((scope.get("client") or ("", 0))[0]):
            return None
        subjects = header_values(scope, self.subject_header.encode())
        if len(subjects) != 1 or not 0 < len(subjects[0].strip()) <= _LONGEST_SUBJECT:
            return None
        named = header_values(scope, self.groups_header.encode()) if self.groups_header else []
        theirs = [self.groups[group.strip()] for group in ",".join(named).split(",") if group.strip() in self.groups]
        role = max((role for role, _ in theirs), key=ROLES.index, default=None)
        organisations = frozenset[str]().union(*(of for _, of in theirs))
        return Caller("proxy", subjects[0].strip(), role, organisations)


def _group(text: str) -> tuple[str, tuple[Role, frozenset[str]]]:
    name, _, what = text.partition("=")
    said, _, organisations = what.partition(":")
    role = next((one for one in ROLES if one == said.strip()), None)
    if not name.strip() or role is None:
        raise InvalidProxy(f"a group is name=role, and a role one of {', '.join(ROLES)}: {text!r}")
    return name.strip(), (role, frozenset(one.strip() for one in organisations.split("+") if one.strip()))


def header_values(scope: Scope, name: bytes) -> list[str]:
    """What each header of this name says; any octets."""
    return [value.decode("latin-1") for key, value in scope.get("headers", ()) if key.lower() == name]


# At the door ---------------------------------------------------------------------------------------------------------


class Gate:
    """Finds out who asks: by a token, as Bearer (RFC 6750) or as the password of Basic (RFC 7617), or by the proxy."""

    def __init__(self, verify: Callable[[str], Caller | None] = lambda _text: None, proxy: Proxy | None = None) -> None:
        self.verify = verify
        self.proxy = proxy or Proxy()

    def caller(self, scope: Scope) -> Caller | None:
        """
        Who asks; None for everybody whom we do not know.

        Raises:
            Unconfirmed: by a token of which nobody can say whether it still is good.
        """
        said = header_values(scope, b"authorization")
        if len(said) > 1:
            return None
        if said:
            text = _token(said[0])
            return self.verify(text) if text else None
        return self.proxy.caller(scope)


def _token(authorization: str) -> str | None:
    scheme, _, credentials = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return credentials.strip()
        case "basic":
            try:
                _user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
            except ValueError:
                # Not Base64, or not UTF-8, or, in the words of Python's own errors, not even ASCII.
                return None
            return password
    return None


_BEARER = HTTPBearer(auto_error=False, description="A token that 'deelname token create' has made.")
_BASIC = HTTPBasic(auto_error=False, description="For browsers: any name, and a token as the password.")


_UNCONFIRMED: Final = (
    "This service has not read for a while which tokens were revoked, and lets nobody in by one until it has. It goes"
    " on by itself once it reaches the broker; /health/ready says why it does not."
)


class Needs:
    """A dependency of routes: lets in who has a role, and gives the route the :class:`Caller`."""

    def __init__(self, role: Role) -> None:
        self._role = role

    def __call__(
        self,
        request: Request,
        _bearer: Annotated[object, Security(_BEARER)] = None,
        _basic: Annotated[object, Security(_BASIC)] = None,
    ) -> Caller:
        """
        Who asks.

        Raises:
            HTTPException: 401 for nobody whom we know, 403 for somebody who may not, 503 while nobody can say.
        """
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None and getattr(request.state, "unconfirmed", False):
            raise HTTPException(503, _UNCONFIRMED, {"Retry-After": "5"})
        if caller is None:
            # A browser asks for a name and a password where it is told Basic, and does not know Bearer.
            page = "text/html" in request.headers.get("accept", "")
            challenge = 'Basic realm="Deelname", charset="UTF-8"' if page else 'Bearer realm="Deelname"'
            raise HTTPException(401, "This needs a token of the staff.", {"WWW-Authenticate": challenge})
        if not caller.may(self._role):
            raise HTTPException(403, f"This needs the role {self._role}; yours is {caller.role or 'none'}.")
        return caller

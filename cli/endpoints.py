"""Where Deelname is, and as whom the tool speaks to it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cli.failure import USAGE, Failure
from cli.reading import SMALL, parsed, text

USUAL_PLACES = (Path("data/endpoints.json"), Path("demo-data/endpoints.json"))
"""Where ``deelname up`` and ``deelname demo`` leave their endpoints, seen from where they were started."""


_SCHEMES = ("nats", "tls", "ws", "wss")


@dataclass(frozen=True, slots=True)
class Access:
    """
    One identity at the broker: its URL and the prefix of its inboxes.

    A password in the URL proves the identity, or the nkey in ``seed``, a file. ``authority`` is the file (PEM) of
    whoever the broker's certificate must be of.
    """

    identity: str
    url: str
    inbox_prefix: str
    seed: Path | None = None
    authority: Path | None = None

    def __post_init__(self) -> None:
        # What stands there may hold a password, and is not repeated.
        if not isinstance(self.inbox_prefix, str) or not all(
            is_address(each, _SCHEMES) for each in str(self.url).split(",")
        ):
            raise ValueError(f"'{self.identity}' has no address like nats://HOST:PORT or tls://HOST:PORT")

    @property
    def address(self) -> str:
        """Host and port, without the password."""
        parts = urlsplit(self.url.split(",")[0])
        return f"{parts.hostname}:{parts.port or 4222}"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What ``endpoints.json`` says."""

    origin: str
    accesses: Mapping[str, Access]
    http: Mapping[str, str] = field(default_factory=dict)
    mail: str | None = None
    logs: Path | None = None
    data: Path | None = None
    process: int | None = None
    partners: tuple[str, ...] = ()

    @property
    def abandoned(self) -> bool:
        """Whether 'deelname up' wrote them and was killed since: it takes them away when it ends by itself."""
        if self.process is None or self.data is None:
            return False
        lock = self.data / "lock"
        return lock.exists() and not held(lock)

    def access(self, identity: str) -> Access:
        """
        How to connect as this identity.

        Raises:
            Failure: the endpoints do not name it.
        """
        try:
            return self.accesses[identity]
        except KeyError:
            known = ", ".join(sorted(self.accesses)) or "none"
            raise Failure(
                f"{self.origin} has no access for '{identity}'.",
                f"Choose one of these with --as: {known}.",
                code=USAGE,
            ) from None


def held(lock: Path) -> bool:
    """Whether somebody runs the system whose directory holds this lock."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def find(chosen: Path | None, identity: str) -> Endpoints:
    """
    The endpoints that ``--endpoints``, DEELNAME_ENDPOINTS, DEELNAME_NATS_URL or a usual place give, in that order.

    Raises:
        Failure: there are none, or they can't be read.
    """
    if chosen:
        return read(chosen)
    if named := os.environ.get("DEELNAME_ENDPOINTS"):
        return read(Path(named))
    if url := os.environ.get("DEELNAME_NATS_URL"):
        return _from_url(url, identity)
    for place in USUAL_PLACES:
        if place.is_file():
            return read(place)
    raise Failure(
        "No running Deelname is known here: neither --endpoints, DEELNAME_ENDPOINTS, DEELNAME_NATS_URL "
        "nor ./data/endpoints.json.",
        "Start one with 'deelname up', or name the endpoints.json of one that runs: --endpoints FILE.",
        code=USAGE,
    )


def read(path: Path) -> Endpoints:
    """
    Read an endpoints file.

    Raises:
        Failure: it is missing, or not what ``deelname up`` writes.
    """
    try:
        content = parsed(text(path, SMALL))
        accesses = {
            identity: Access(
                identity,
                entry["url"],
                entry["inbox_prefix"],
                _beside(path, entry.get("nkey_seed_file")),
                _beside(path, entry.get("ca_file")),
            )
            for identity, entry in content["nats"].items()
        }
        http, mail = dict(content.get("http", {})), content.get("mail")
        logs, data = (Path(content[name]) if content.get(name) else None for name in ("logs", "data"))
        process = int(content["process"]) if content.get("process") else None
        partners = tuple(map(str, content.get("partners") or ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(
            f"{path} is not an endpoints file: {type(error).__name__}: {error}.",
            'It must look like {"nats": {"staff": {"url": "nats://…", "inbox_prefix": "_INBOX_staff"}}}.',
            code=USAGE,
        ) from error
    return Endpoints(str(path), accesses, http, mail, logs, data, process, partners)


def is_address(url: str, schemes: Collection[str]) -> bool:
    """Whether it has one of these schemes, a host, and a port that is one where it names any."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def refuse_password(option: str, url: str, instead: str) -> None:
    """
    See that what was given on the command line, which everybody on the machine can see, holds no password.

    Raises:
        Failure: it does; the message does not repeat it.
    """
    # Not by urlsplit: a password that is not escaped as it should be has been seen all the same.
    if "@" in url.partition("://")[2].partition("?ca=")[0]:
        raise Failure(f"{option}: others on this machine can see a command line.", instead, code=USAGE)


def _beside(path: Path, named: str | None) -> Path | None:
    """A file that the endpoints name, seen from where they are."""
    return path.parent / named if named else None


def _from_url(url: str, identity: str) -> Endpoints:
    if not all(is_address(each, _SCHEMES) for each in url.split(",")):
        raise Failure(
            "DEELNAME_NATS_URL is no address of a broker.", "Write it as nats://USER:PASSWORD@HOST:PORT.", code=USAGE
        )
    user = unquote(urlsplit(url).username or "") or identity
    name = os.environ.get("DEELNAME_NATS_NAME", user)
    seed, authority = os.environ.get("DEELNAME_NATS_NKEY_SEED_FILE"), os.environ.get("DEELNAME_NATS_CA_FILE")
    access = Access(
        identity,
        url,
        f"_INBOX_{name}".replace("-", "_"),
        Path(seed) if seed else None,
        Path(authority) if authority else None,
    )
    return Endpoints("DEELNAME_NATS_URL", {identity: access})

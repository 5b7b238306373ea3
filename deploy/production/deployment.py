"""What was chosen for a deployment, and what follows from it."""

from __future__ import annotations

import pwd
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deploy.identities import Access, access

_VERSION = 1
Reader = Literal["broker", "registration", "notifications", "reporting", "topology"]
"""Who reads something of a deployment, and may be another user than whoever operates it."""


class NotADeployment(ValueError):  # noqa: N818 - it reads as what is wrong
    """The directory does not hold what ``deelname broker configure`` writes; the message says what to do."""


class Node(BaseModel):
    """
    One server of several.

    Attributes:
        name: its own name; part of the name of its configuration file and of its store.
        host: the host name or address under which clients and the other servers reach it.
        port: for clients.
        routes_port: for the other servers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 4222
    routes_port: Annotated[int, Field(ge=1, le=65535)] = 6222

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        A node from ``NAME=HOST[:PORT[:ROUTES_PORT]]``.

        Raises:
            NotADeployment: it does not look like this.
        """
        name, _, address = text.partition("=")
        host, *ports = address.split(":")
        if len(ports) > 2:
            raise NotADeployment(f"{text!r} must look like NAME=HOST:PORT:ROUTES_PORT")
        given = dict(zip(("port", "routes_port"), ports, strict=False))
        try:
            return cls.model_validate({"name": name, "host": host, **given})
        except ValidationError as error:
            raise NotADeployment(f"{text!r} must look like NAME=HOST:PORT:ROUTES_PORT: {explain(error)}") from None

    @property
    def file(self) -> str:
        """Its configuration, in the directory ``broker``."""
        return f"nats-{self.name}.conf"


class Deployment(BaseModel):
    """
    What was chosen for a deployment, as ``deployment.json`` holds it.

    Attributes:
        url: where the services reach the broker; several parted by commas.
        partners_url: where partners reach it, from outside.
        public_url: where people reach registration's pages, to which links in mails lead; "" where nobody said.
        operations_url: where whoever runs ``deelname partner`` and ``deelname broker reload`` reaches it.
        names: more host names and addresses for the broker's certificate than those URLs have.
        broker_at: where the broker sees the directory ``broker``.
        nodes: the servers of the broker when there are several; each keeps its streams in ``store``/NAME, never in that
            of a server that ran alone: a cluster deletes what it finds there (nats-server 2.15.1, after 30 seconds).
        replicas: how many of them keep each stream; None for three, or one where there is one server.
        secrets_at: where each service sees the directory ``secrets``, or its own seed and ``ca.pem`` out of it.
        keys: the public key of each identity, partners included.
        owners: the user, by name or number, to whom is handed what the broker or a service reads; of who is not named
            here it is the user who owns the directory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = _VERSION
    url: str = "tls://localhost:4222"
    partners_url: str = ""
    operations_url: str = ""
    public_url: str = ""
    names: tuple[str, ...] = ()
    encrypted: bool = True
    # nats-server takes no spaces in it.
    server_name: Annotated[str, Field(pattern=r"^[!-~]+$")] = "deelname"
    host: str = "0.0.0.0"  # noqa: S104 - in production the broker is there for others
    port: Annotated[int, Field(ge=1, le=65535)] = 4222
    monitoring_host: str = "127.0.0.1"
    monitoring_port: Annotated[int, Field(ge=1, le=65535)] | None = 8222
    store: str = "/data"
    broker_at: str = ""
    secrets_at: str = ""
    nodes: tuple[Node, ...] = ()
    replicas: Annotated[int, Field(ge=1, le=5)] | None = None
    partners: tuple[str, ...] = ()
    keys: dict[str, str] = Field(default_factory=dict)
    owners: dict[Reader, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.version != _VERSION:
            raise ValueError(f"version {self.version} is not one that this deelname knows: use a newer one")
        wanted = "tls" if self.encrypted else "nats"
        for url in ",".join((self.url, self.partners_url, self.operations_url)).split(","):
            parts = urlsplit(url)
            if url and (parts.scheme != wanted or not parts.hostname or parts.username or parts.path or not _port(url)):
                shown = repr(url) if "@" not in url else "an address"
                raise ValueError(f"{shown} must look like {wanted}://HOST:PORT, without user and path")
        if self.public_url and not _leads_to_pages(self.public_url):
            raise ValueError(f"{self.public_url!r} must look like https://HOST, with a path at most")
        if self.nodes and (len(self.nodes) < 3 or len(self.nodes) % 2 == 0):
            raise ValueError(
                f"{len(self.nodes)} servers cannot outvote one that fails better than one fewer could: name 3 or 5"
            )
        for what in ("name", "host and port", "host and routes_port"):
            seen = [tuple(getattr(node, part) for part in what.split(" and ")) for node in self.nodes]
            if len(set(seen)) != len(seen):
                raise ValueError(f"two servers have the same {what}")
        if self.copies > max(1, len(self.nodes)):
            raise ValueError(f"{self.copies} replicas need as many servers: name them as nodes")
        return self

    @property
    def copies(self) -> int:
        """How many servers keep each stream."""
        return self.replicas or (3 if self.nodes else 1)

    def owner(self, reader: str) -> int | None:
        """
        The number of the user to whom is handed what this one reads; None where nobody is named.

        Raises:
            NotADeployment: this machine knows no such user.
        """
        named = next((user for name, user in self.owners.items() if name == reader), None)
        if named is None:
            return None
        try:
            return int(named) if named.isascii() and named.isdecimal() else pwd.getpwnam(named).pw_uid
        except KeyError:
            raise NotADeployment(
                f"{reader} runs as {named!r}, and this machine knows no such user: give its number"
            ) from None

    @property
    def access(self) -> Access:
        """Who may do what."""
        return access(self.partners)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Under what names clients reach the broker."""
        urls = ",".join((self.url, self.partners_url, self.operations_url)).split(",")
        called = [urlsplit(url).hostname or "" for url in urls if url]
        return tuple(dict.fromkeys([*called, *(node.host for node in self.nodes), *self.names]))


def _leads_to_pages(url: str) -> bool:
    """Whether paths can be put behind it."""
    if not url.isprintable() or {" ", "?", "#"} & set(url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None and _port(url)


def _port(url: str) -> bool:
    """Whether the port is one, or is left out."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def explain(error: ValidationError) -> str:
    """What is wrong, without what was given where it may be a secret."""
    return "; ".join(
        ": ".join(
            part for part in (".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")) if part
        )
        for fault in error.errors(include_url=False, include_input=False)
    )

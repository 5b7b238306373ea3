"""
The broker's configuration file, written from the table in ``identities.py``.

``python -m deploy.configuration --partners a,b --keys keys.json`` prints it for production. ``deploy/nats.conf`` is
what it prints without keys: each is then read from the environment when the broker starts.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.characters import visible
from deploy.identities import PARTNERS, SYSTEM, Access, Account, Identity, Import, access
from deploy.notation import Bare, Included, text
from deploy.streams import INTAKE_BYTES, MEBIBYTE, streams_of

MAX_PAYLOAD = MEBIBYTE
"""The largest message of all, in bytes."""

MAX_CONNECTIONS = 2000
AUTHENTICATED_WITHIN = 3
"""Seconds."""

_ROUTE = "deelname"
"""The user as which servers of a cluster come to one another."""

PARTNERS_FORESEEN = 32
"""For so many partners the broker keeps room without being started anew."""
SPARE_BYTES = 256 * MEBIBYTE
"""For changing a stream's limit by hand in need."""

_PUBLIC_KEY = re.compile(r"U[A-Z2-7]{55}")


class InvalidCredential(ValueError):  # noqa: N818 - it reads as what is wrong
    """Someone of the table has no credential, or one that cannot be right."""


@dataclass(frozen=True, slots=True)
class Password:
    """A plain password: for the local mode alone, where nothing listens but loopback."""

    value: str

    def __repr__(self) -> str:
        return "Password(…)"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of an nkey, 56 characters that start with U. The broker never sees the other half."""

    value: str

    def __post_init__(self) -> None:
        if not _PUBLIC_KEY.fullmatch(self.value):
            raise InvalidCredential(f"{self.value!r} is not the public key of an nkey user (U and 55 characters)")


@dataclass(frozen=True, slots=True)
class KeyInEnvironment:
    """The public key is read from this environment variable when the broker starts."""

    variable: str


Credential = Password | PublicKey | KeyInEnvironment


def keys_in_environment(access: Access) -> dict[str, Credential]:
    """For each identity the variable that holds its public key: DEELNAME_NKEY_REGISTRATION and so on."""
    return {
        identity.name: KeyInEnvironment(f"DEELNAME_NKEY_{identity.name.upper().replace('-', '_')}")
        for identity in access.identities
    }


@dataclass(frozen=True, slots=True)
class Encryption:
    """Where the broker finds its certificate and the key to it (PEM)."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Place:
    """
    A server's place in a cluster.

    Attributes:
        cluster: the name that all its servers give.
        host, port: where it listens for the others.
        reached_at: HOST:PORT under which the others find it.
        clients_at: HOST:PORT that it tells clients, who learn of all servers from any of them.
        routes: the file, beside the server's own, with what all servers share: ``render_routes``.
    """

    cluster: str
    host: str
    port: int
    reached_at: str
    clients_at: str
    routes: str


@dataclass(frozen=True, slots=True)
class Broker:
    """
    Where the broker listens and keeps its files; ``monitoring_port`` None opens no monitoring.

    Whoever may read the monitoring pages sees every connection: ``monitoring_host`` stays on loopback unless the broker
    has a network of its own, as in a container, whose ports are opened one by one.
    With ``encryption`` nobody is let in who does not speak TLS.
    """

    store: Path
    host: str = "127.0.0.1"
    port: int = 4222
    monitoring_port: int | None = None
    monitoring_host: str = "127.0.0.1"
    server_name: str = "deelname"
    encryption: Encryption | None = None
    place: Place | None = None


def render(access: Access, credentials: Mapping[str, Credential], broker: Broker) -> str:
    """
    The text of ``nats.conf``, with everything in it.

    Raises:
        InvalidCredential: an identity of the table has no credential.
    """
    return _WRITTEN + text(_server(access, broker) | _accounts(access, credentials))


def render_server(access: Access, broker: Broker, accounts: str) -> str:
    """The text of ``nats.conf`` without the accounts, which it includes from the file ``accounts`` beside it."""
    return _WRITTEN + text(_server(access, broker) | {"accounts": Included(accounts)})


def render_routes(reached_at: Iterable[str], password: str, encryption: Encryption | None, authority: Path) -> str:
    """
    What the servers of a cluster share: where they all are, and how each shows the others that it is one of them.

    With ``encryption`` a server has to show a certificate of ``authority`` as well as the password, and each is checked
    to be good for the host name under which it was called.
    """
    lines: dict[str, object] = {
        "authorization": {"user": _ROUTE, "password": password, "timeout": AUTHENTICATED_WITHIN},
        # Each server finds itself among them and passes itself over.
        "routes": [f"nats://{_ROUTE}:{password}@{address}" for address in reached_at],
    }
    if encryption is not None:
        lines["tls"] = {
            "cert_file": str(encryption.certificate),
            "key_file": str(encryption.key),
            "ca_file": str(authority),
            "verify": True,
            "min_version": "1.2",
            "timeout": AUTHENTICATED_WITHIN,
        }
    return _WRITTEN + text(lines)


def render_accounts(access: Access, credentials: Mapping[str, Credential], replicas: int = 1) -> str:
    """
    The text of the accounts alone: the same for every server of a cluster, and for one that others run.

    With ``replicas`` each byte of a stream counts so many times against an account's limits.

    Raises:
        InvalidCredential: an identity of the table has no credential.
    """
    return _WRITTEN + text(_accounts(access, credentials, replicas))


_WRITTEN = "# Written by deploy/configuration.py from deploy/identities.py: change it there.\n"


def _server(access: Access, broker: Broker) -> dict[str, object]:
    top: dict[str, object] = {
        "server_name": broker.server_name,
        "host": broker.host,
        "port": broker.port,
        "max_payload": MAX_PAYLOAD,
        "max_control_line": 4096,
        "write_deadline": "10s",
        "max_connections": MAX_CONNECTIONS,
        # Whoever connects and says nothing keeps a place no longer than this, in seconds.
        "authorization": {"timeout": AUTHENTICATED_WITHIN},
    }
    if broker.encryption is not None:
        top["tls"] = {
            "cert_file": str(broker.encryption.certificate),
            "key_file": str(broker.encryption.key),
            "min_version": "1.2",
            "timeout": AUTHENTICATED_WITHIN,
        }
    if broker.monitoring_port is not None:
        top["http"] = f"{broker.monitoring_host}:{broker.monitoring_port}"
    top["jetstream"] = {
        "store_dir": str(broker.store),
        # Anything laxer loses acknowledged messages when the power fails.
        "sync_interval": Bare("always"),
        "max_file": sum(_store(account.name, access) for account in access.accounts if account.streams),
        "max_mem": 64 * MEBIBYTE,
    }
    if broker.place is not None:
        top["client_advertise"] = broker.place.clients_at
        top["cluster"] = {
            "name": broker.place.cluster,
            "host": broker.place.host,
            "port": broker.place.port,
            "advertise": broker.place.reached_at,
            "routes": Included(broker.place.routes),
        }
    return top


def _accounts(access: Access, credentials: Mapping[str, Credential], replicas: int = 1) -> dict[str, object]:
    missing = sorted(identity.name for identity in access.identities if identity.name not in credentials)
    if missing:
        raise InvalidCredential(f"no credential for {', '.join(missing)}")
    return {
        "system_account": Bare(SYSTEM),
        "accounts": {account.name: _account(account, access, credentials, replicas) for account in access.accounts},
    }


def _store(account: str, access: Access) -> int:
    """
    How many bytes the streams of an account may be promised together.

    With room for partners to come: a reload can add one, but it cannot raise the server's ``max_file``.
    """
    promised = sum(stream.config.max_bytes or 0 for stream in streams_of(account, access.partners))
    return promised + _to_come(account, access) * INTAKE_BYTES + SPARE_BYTES


def _to_come(account: str, access: Access) -> int:
    """For how many partners more than there are an account keeps room."""
    return max(0, PARTNERS_FORESEEN - len(access.partners)) if account == PARTNERS else 0


def _account(
    account: Account, access: Access, credentials: Mapping[str, Credential], replicas: int
) -> dict[str, object]:
    lines: dict[str, object] = {}
    if account.streams:
        lines["jetstream"] = {
            "max_store": _store(account.name, access) * replicas,
            "max_mem": 32 * MEBIBYTE,
            "max_streams": len(streams_of(account.name, access.partners)) + _to_come(account.name, access) + 1,
            "max_bytes_required": True,
        }
    lines["limits"] = {"max_connections": account.connections, "max_subscriptions": account.subscriptions}
    lines["users"] = [
        _user(identity, credentials[identity.name])
        for identity in access.identities
        if identity.account == account.name
    ]
    lines["exports"] = _exports(account.name, access)
    lines["imports"] = [_import(item) for item in account.imports] + [
        {"stream": {"account": Bare(account.hears_from), "subject": subject}} for subject in account.hears
    ]
    mappings = {item.subject: item.within for item in account.imports if item.within}
    if mappings:
        lines["mappings"] = mappings
    return {key: value for key, value in lines.items() if value != []}


def _user(identity: Identity, credential: Credential) -> dict[str, object]:
    permissions: dict[str, object] = {
        "publish": {"allow": list(identity.publish)} | ({"deny": list(identity.never)} if identity.never else {}),
        "subscribe": {"allow": list(identity.subscribe)},
    }
    match credential:
        case Password(value):
            who: dict[str, object] = {"user": identity.name, "password": value}
        case PublicKey(value):
            who = {"nkey": value}
        case KeyInEnvironment(variable):
            who = {"nkey": Bare(f"${variable}")}
    return {**who, "permissions": permissions}


def _exports(account: str, access: Access) -> list[dict[str, object]]:
    """What others import from this account, each subject open to those who import it and to no one else."""
    importers: dict[str, list[str]] = {}
    answers: dict[str, str] = {}
    for other in access.accounts:
        for item in other.imports:
            if item.account == account:
                importers.setdefault(item.subject, []).append(other.name)
                answers[item.subject] = item.answers
    services: list[dict[str, object]] = [
        {"service": subject, "response_type": Bare(answers[subject]), "accounts": [Bare(name) for name in names]}
        for subject, names in importers.items()
    ]
    deliveries: list[dict[str, object]] = [
        {"stream": subject, "accounts": [Bare(other.name)]}
        for other in access.accounts
        if other.hears_from == account
        for subject in other.hears
    ]
    return services + deliveries


def _import(item: Import) -> dict[str, object]:
    line: dict[str, object] = {"service": {"account": Bare(item.account), "subject": item.subject}}
    if item.within:
        line["to"] = item.within
    if item.share:
        line["share"] = True
    return line


def main(arguments: list[str] | None = None) -> int:
    """Print a configuration for production. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.configuration", description=__doc__)
    parser.add_argument("--partners", default="biblionet", help="comma-separated names (default: %(default)s)")
    parser.add_argument(
        "--keys",
        type=Path,
        help="a JSON object, identity to public nkey; without it each key is an environment variable",
    )
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - in production the broker is there for others
    parser.add_argument("--port", type=int, default=4222)
    parser.add_argument("--monitoring-port", type=int, default=8222)
    parser.add_argument("--store", type=Path, default=Path("/data"), help="where the streams' files go")
    given = parser.parse_args(arguments)
    try:
        table = access(name.strip() for name in given.partners.split(",") if name.strip())
        credentials = keys_in_environment(table)
        if given.keys:
            keys = json.loads(given.keys.read_text(encoding="utf-8"))
            credentials = {name: PublicKey(value) for name, value in keys.items()}
        broker = Broker(given.store, given.host, given.port, given.monitoring_port)
        sys.stdout.write(render(table, credentials, broker))
    except (ValueError, OSError) as error:
        print(visible(f"configuration: {error}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

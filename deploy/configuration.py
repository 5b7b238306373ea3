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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.identities import PARTNERS, SYSTEM, Access, Account, Identity, Import, access
from deploy.streams import INTAKE_BYTES, MEBIBYTE, streams_of

MAX_PAYLOAD = MEBIBYTE
"""The largest message of all, in bytes."""

MAX_CONNECTIONS = 2000
AUTHENTICATED_WITHIN = 3
"""Seconds."""

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


class _Bare(str):
    """A value that NATS wants without quotes, as 1MB or enabled."""

    __slots__ = ()


def render(access: Access, credentials: Mapping[str, Credential], broker: Broker) -> str:
    """
    The text of ``nats.conf``, with everything in it.

    Raises:
        InvalidCredential: an identity of the table has no credential.
    """
    return _WRITTEN + _text(_server(access, broker) | _accounts(access, credentials))


def render_server(access: Access, broker: Broker, accounts: str) -> str:
    """The text of ``nats.conf`` without the accounts, which it includes from the file ``accounts`` beside it."""
    return _WRITTEN + _text(_server(access, broker)) + f"include {json.dumps(accounts)}\n"


def render_accounts(access: Access, credentials: Mapping[str, Credential]) -> str:
    """
    The text of the accounts alone: the same for every server of a cluster, and for one that others run.

    Raises:
        InvalidCredential: an identity of the table has no credential.
    """
    return _WRITTEN + _text(_accounts(access, credentials))


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
        "sync_interval": _Bare("always"),
        "max_file": sum(_store(account.name, access) for account in access.accounts if account.streams),
        "max_mem": 64 * MEBIBYTE,
    }
    return top


def _accounts(access: Access, credentials: Mapping[str, Credential]) -> dict[str, object]:
    missing = sorted(identity.name for identity in access.identities if identity.name not in credentials)
    if missing:
        raise InvalidCredential(f"no credential for {', '.join(missing)}")
    return {
        "system_account": _Bare(SYSTEM),
        "accounts": {account.name: _account(account, access, credentials) for account in access.accounts},
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


def _account(account: Account, access: Access, credentials: Mapping[str, Credential]) -> dict[str, object]:
    lines: dict[str, object] = {}
    if account.streams:
        lines["jetstream"] = {
            "max_store": _store(account.name, access),
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
        {"stream": {"account": _Bare(account.hears_from), "subject": subject}} for subject in account.hears
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
            who = {"nkey": _Bare(f"${variable}")}
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
        {"service": subject, "response_type": _Bare(answers[subject]), "accounts": [_Bare(name) for name in names]}
        for subject, names in importers.items()
    ]
    deliveries: list[dict[str, object]] = [
        {"stream": subject, "accounts": [_Bare(other.name)]}
        for other in access.accounts
        if other.hears_from == account
        for subject in other.hears
    ]
    return services + deliveries


def _import(item: Import) -> dict[str, object]:
    line: dict[str, object] = {"service": {"account": _Bare(item.account), "subject": item.subject}}
    if item.within:
        line["to"] = item.within
    return line


def _text(value: Mapping[str, object]) -> str:
    return "".join(f"{_key(key)}: {_value(item, 0)}\n" for key, item in value.items())


def _key(key: str) -> str:
    return key if re.fullmatch(r"\w+", key) else json.dumps(key)


def _value(value: object, depth: int) -> str:
    match value:
        case _Bare():
            return str(value)
        case bool() | int():
            return json.dumps(value)
        case dict():
            return _block(value, depth)
        case list():
            return _list(value, depth)
    return json.dumps(str(value), ensure_ascii=False)


def _block(block: Mapping[str, object], depth: int) -> str:
    if _is_flat(block):
        return "{ " + ", ".join(f"{_key(key)}: {_value(item, 0)}" for key, item in block.items()) + " }"
    inner = "  " * (depth + 1)
    lines = "".join(f"{inner}{_key(key)}: {_value(item, depth + 1)}\n" for key, item in block.items())
    return "{\n" + lines + "  " * depth + "}"


def _list(items: list[object], depth: int) -> str:
    if len(items) <= 1 or all(isinstance(item, _Bare) for item in items):
        return "[" + ", ".join(_value(item, depth) for item in items) + "]"
    inner = "  " * (depth + 1)
    return "[\n" + "".join(f"{inner}{_value(item, depth + 1)},\n" for item in items) + "  " * depth + "]"


def _is_flat(block: Mapping[str, object]) -> bool:
    """Short enough for one line: no lists but of names, and no more than one block inside."""
    return len(block) <= 3 and all(
        all(not isinstance(deep, dict | list) for deep in item.values())
        if isinstance(item, dict)
        else not isinstance(item, list) or all(isinstance(deep, _Bare) for deep in item)
        for item in block.values()
    )


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
        print(f"configuration: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

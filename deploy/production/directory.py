"""
Everything that the broker and its clients need, written into one directory.

============================  ==========================================================  ==========================
``deployment.json``           what was chosen: addresses, partners, public keys           no secret
``broker/nats.conf``          the server's configuration, includes the next               no secret
``broker/accounts.conf``      accounts, permissions and public keys, same on all servers  no secret
``broker/server.pem``         the server's certificate                                    no secret
``broker/server-key.pem``     the key to it                                               the broker's
``broker/nats-NODE.conf``     of several servers, each one's own in place of nats.conf    no secret
``broker/routes.conf``        how several servers find and know one another               the servers'
``broker/ca.pem``             the authority, by which they do                             no secret
``secrets/NAME.nk``           the nkey seed of each identity                              NAME's
``secrets/NAME.links``        the keys of personal links, the same for the two            NAME's
``secrets/ca.pem``            the authority, for every client                             no secret
``environment/NAME.env``      the settings of each service, and of ``topology``           NAME's
``endpoints.json``            for ``deelname --endpoints``: staff and monitor             the operator's
``partners/NAME/``            to be handed over: seed, authority, ``endpoints.json``      the partner's
``authority/``                the authority's key: needed here alone, best kept offline   the operator's
============================  ==========================================================  ==========================

Each file is readable by its owner alone (0600), whatever the umask, but for ``ca.pem``, which every client is given.
What the broker or a service reads is handed to the user who runs it by owner, not by mode (``Deployment.owners``): all
of ``broker/`` is the broker's, and services may pass through the folders above their own files (0711) and list none.
The broker is to see the *directory* ``broker/`` (files in it are replaced, not rewritten).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli import private
from deploy.configuration import (
    Broker,
    Credential,
    Encryption,
    Place,
    PublicKey,
    render_accounts,
    render_routes,
    render_server,
)
from deploy.endpoints import entry
from deploy.identities import (
    MONITOR,
    OPERATOR,
    REGISTRATION_INTAKE,
    SERVICES,
    TOPOLOGY,
    TOPOLOGY_PARTNERS,
)
from deploy.links import LINKED, names_of, new_link_keys, rotated
from deploy.production.certificates import PUBLIC, make_certificates
from deploy.production.deployment import Deployment, Node, NotADeployment, explain
from deploy.production.keys import make_seed, public_key_of

DESCRIPTION = "deployment.json"
_ROUTES = "routes.conf"
STAFF = "staff"
SEEDS: Mapping[str, tuple[str, ...]] = {
    "registration": ("registration", REGISTRATION_INTAKE),
    "notifications": ("notifications",),
    "reporting": ("reporting",),
    "topology": (TOPOLOGY, TOPOLOGY_PARTNERS),
}
"""Whose the seeds of the system's identities are; those that are not named here are the operator's."""
_PASSABLE = 0o711
NOT_CONFIGURED = "write one with 'deelname broker configure DIR'"


class Directory:
    """The directory of one deployment."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def description(self) -> Path:
        """What was chosen."""
        return self.path / DESCRIPTION

    @property
    def broker(self) -> Path:
        """What the broker reads."""
        return self.path / "broker"

    @property
    def authority(self) -> Path:
        """The certificate that clients believe."""
        return self.path / "secrets" / "ca.pem"

    def seed(self, name: str) -> Path:
        """The seed of an identity of the system."""
        return self.path / "secrets" / f"{name}.nk"

    def link_keys(self, service: str) -> Path:
        """A service's own copy of the keys of personal links."""
        return self.path / "secrets" / _link_keys(service)

    def partner(self, name: str) -> Path:
        """What a partner is handed."""
        return self.path / "partners" / name

    @contextlib.contextmanager
    def locked(self, *, create: bool = False) -> Iterator[None]:
        """
        Keep other commands away while this one changes the directory.

        Raises:
            NotADeployment: there is none, and it is not to be created: a directory named by mistake stays as it is.
        """
        if create:
            private.folder(self.path)
        else:
            self.read()
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> Deployment:
        """
        What was chosen.

        Raises:
            NotADeployment: there is none, or it cannot be read.
        """
        try:
            return Deployment.model_validate_json(self.description.read_bytes())
        except FileNotFoundError:
            raise NotADeployment(f"{self.path} holds no {DESCRIPTION}: {NOT_CONFIGURED}") from None
        except ValidationError as error:
            raise NotADeployment(f"{self.description} cannot be read: {explain(error)}") from None
        except OSError as error:
            raise NotADeployment(f"{self.description} cannot be read: {error.strerror}") from None

    def configure(self, chosen: Mapping[str, Any], *, renew_certificate: bool = False) -> Deployment:
        """
        Write everything, from what was chosen before and what is chosen now.

        Keys that exist stay, and so do the authority and a certificate that is good for all names and 30 more days.

        Raises:
            NotADeployment: what was chosen makes no deployment.
            ValueError: a partner's name cannot be one, or a key or a certificate of before cannot be read.
            OSError: a file cannot be written.
        """
        with self.locked(create=True):
            before = self.read() if self.description.exists() else Deployment()
            if "nodes" in chosen and "url" not in chosen:
                if not chosen["nodes"]:
                    raise NotADeployment("where services reach the one server has to be said: its URL")
                chosen = {**chosen, "url": _urls(chosen["nodes"], chosen.get("encrypted", before.encrypted))}
            try:
                owners = {**before.owners, **chosen.get("owners", {})}
                deployment = Deployment.model_validate(before.model_dump() | dict(chosen) | {"owners": owners})
            except ValidationError as error:
                raise NotADeployment(explain(error)) from None
            return self.write(self._with_keys(deployment), renew_certificate=renew_certificate)

    def write(self, deployment: Deployment, *, renew_certificate: bool = False) -> Deployment:
        """Write everything that follows from a deployment whose keys are there; see ``configure``."""
        table = deployment.access
        self._make_folders(deployment)
        encryption = self._encrypt(deployment, renew_certificate) if deployment.encrypted else None
        keys: dict[str, Credential] = {name: PublicKey(value) for name, value in deployment.keys.items()}
        accounts = render_accounts(table, keys, deployment.copies)
        _write(self.broker / "accounts.conf", accounts, self._owner(deployment, "broker"))
        self._write_servers(deployment, encryption)
        for name, settings in _environments(self, deployment).items():
            text = "".join(f"DEELNAME_{key}={value}\n" for key, value in settings.items())
            _write(self.path / "environment" / f"{name}.env", text, self._owner(deployment, name))
        self._hand_link_keys(self._link_keys() or new_link_keys(), deployment)
        own = self._owner(deployment)
        _write_json(self.path / "endpoints.json", self._endpoints(deployment, (STAFF, MONITOR), "secrets/"), own)
        for name in deployment.partners:
            self._hand_over(name, deployment)
        self._hand_out_seeds(deployment)
        _write_json(self.description, deployment.model_dump(mode="json"), own)
        return deployment

    def rotate_links(self) -> tuple[str, ...]:
        """
        Put a new key of personal links on top of the one that is there. Returns the names of both, the new one first.

        Raises:
            NotADeployment: there is none.
            NoLinkKeys: there are no keys to rotate.
            OSError: a file cannot be read or written.
        """
        with self.locked():
            text = rotated(self._link_keys() or "")
            self._hand_link_keys(text, self.read())
            return names_of(text)

    def _link_keys(self) -> str | None:
        """What the services have; None where neither has any here."""
        files = (self.link_keys(service) for service in LINKED)
        return next((file.read_text(encoding="utf-8") for file in files if file.exists()), None)

    def _hand_link_keys(self, text: str, deployment: Deployment) -> None:
        """A copy for each, because a file has one owner."""
        for service in LINKED:
            _write(self.link_keys(service), text, self._owner(deployment, service))

    def _owner(self, deployment: Deployment, reader: str = "") -> int | None:
        """Who is to own what ``reader`` reads; None where files are of who writes them, because only root gives any."""
        named = deployment.owner(reader)
        if os.geteuid() == 0:
            # An operator's directory stays theirs, also when root writes into it.
            return self.path.stat().st_uid if named is None else named
        if named not in (None, os.geteuid()):
            raise NotADeployment(f"only root may give what {reader} reads to another user: run this as root")
        return None

    def _make_folders(self, deployment: Deployment) -> None:
        """Each folder its reader's; where files in it have other owners, these may pass through."""
        private.narrow_all(self.path / "authority", self.path / "partners", leave={self.authority.name})
        secret = set((self.path / "secrets").glob("*")) - {self.authority}
        private.narrow(self.path / ".lock", *secret)
        own = self._owner(deployment)
        shared = any(self._owner(deployment, reader) != own for reader in deployment.owners)
        for folder in (self.path, self.path / "secrets", self.path / "environment"):
            _make_folder(folder, own, _PASSABLE if shared else private.FOLDER)
        _make_folder(self.path / "partners", own)
        _make_folder(self.broker, self._owner(deployment, "broker"))

    def _hand_out_seeds(self, deployment: Deployment) -> None:
        readers = {name: reader for reader, names in SEEDS.items() for name in names}
        for seed in (self.path / "secrets").glob("*.nk"):
            _give(seed, self._owner(deployment, readers.get(seed.stem, "")), private.FILE)

    def _with_keys(self, deployment: Deployment) -> Deployment:
        """Every identity has a key: that of its seed if it is here, else the one that is known, else a new one."""
        keys: dict[str, str] = {}
        for identity in deployment.access.identities:
            name = identity.name
            seed = self.partner(name) / f"{name}.nk" if name in deployment.partners else self.seed(name)
            if seed.exists():
                keys[name] = public_key_of(seed).value
            elif name in deployment.keys:
                keys[name] = deployment.keys[name]
            else:
                keys[name] = make_seed(seed).value
        return deployment.model_copy(update={"keys": keys})

    def _write_servers(self, deployment: Deployment, encryption: Encryption | None) -> None:
        """A file for the one server or for each of several, and none of servers that are no more."""
        owner = self._owner(deployment, "broker")
        alone = Broker(
            Path(deployment.store),
            host=deployment.host,
            port=deployment.port,
            monitoring_host=deployment.monitoring_host,
            monitoring_port=deployment.monitoring_port,
            server_name=deployment.server_name,
            encryption=encryption,
        )
        servers = {node.file: _among_others(alone, node) for node in deployment.nodes} or {"nats.conf": alone}
        for name, server in servers.items():
            _write(self.broker / name, render_server(deployment.access, server, "accounts.conf"), owner)
        for left in {"nats.conf", *(path.name for path in self.broker.glob("nats-*.conf"))} - set(servers):
            (self.broker / left).unlink(missing_ok=True)
        if not deployment.nodes:
            for left in (_ROUTES, "ca.pem"):
                (self.broker / left).unlink(missing_ok=True)
            return
        if encryption is not None:
            _write(self.broker / "ca.pem", self.authority.read_text(encoding="ascii"), owner, PUBLIC)
        password = self.path / "secrets" / "routes.password"
        if not password.exists():
            _write(password, secrets.token_urlsafe(32) + "\n", self._owner(deployment))
        routes = render_routes(
            [f"{node.host}:{node.routes_port}" for node in deployment.nodes],
            password.read_text(encoding="ascii").strip(),
            encryption,
            Path(deployment.broker_at or self.broker) / "ca.pem",
        )
        _write(self.broker / _ROUTES, routes, owner)

    def _encrypt(self, deployment: Deployment, renew: bool) -> Encryption:
        made = make_certificates(self.path / "authority", deployment.hosts, renew=renew)
        own, owner = self._owner(deployment), self._owner(deployment, "broker")
        _write(self.authority, made.authority.read_text(encoding="ascii"), own, PUBLIC)
        _write(self.broker / made.server.name, made.server.read_text(encoding="ascii"), owner)
        _write(self.broker / made.server_key.name, made.server_key.read_text(encoding="ascii"), owner)
        seen = Path(deployment.broker_at or self.broker)
        return Encryption(seen / made.server.name, seen / made.server_key.name)

    def _hand_over(self, name: str, deployment: Deployment) -> None:
        folder, own = self.partner(name), self._owner(deployment)
        _make_folder(folder, own)
        for seed in folder.glob("*.nk"):
            _give(seed, own, private.FILE)
        if deployment.encrypted:
            _write(folder / "ca.pem", self.authority.read_text(encoding="ascii"), own, PUBLIC)
        outside = deployment.model_copy(update={"operations_url": deployment.partners_url or deployment.url})
        _write_json(folder / "endpoints.json", self._endpoints(outside, (name,), ""), own)

    def _endpoints(self, deployment: Deployment, names: tuple[str, ...], folder: str) -> dict[str, Any]:
        """Paths in it are seen from the file."""
        return {
            "nats": {
                name: entry(
                    deployment.access,
                    name,
                    deployment.operations_url or deployment.url,
                    nkey_seed_file=f"{folder}{name}.nk",
                    **({"ca_file": f"{folder}ca.pem"} if deployment.encrypted else {}),
                )
                for name in names
            }
        }


def _link_keys(service: str) -> str:
    return f"{service}.links"


def _urls(nodes: Iterable[Node], encrypted: bool) -> str:
    return ",".join(f"{'tls' if encrypted else 'nats'}://{node.host}:{node.port}" for node in nodes)


def _among_others(alone: Broker, node: Node) -> Broker:
    return replace(
        alone,
        store=alone.store / node.name,
        port=node.port,
        server_name=node.name,
        place=Place(
            cluster=alone.server_name,
            host=alone.host,
            port=node.routes_port,
            reached_at=f"{node.host}:{node.routes_port}",
            clients_at=f"{node.host}:{node.port}",
            routes=_ROUTES,
        ),
    )


def _environments(directory: Directory, deployment: Deployment) -> dict[str, dict[str, str]]:
    """What each process is told; a service adds its own (DEELNAME_DATA, DEELNAME_HTTP_HOST and so on)."""
    seen = Path(deployment.secrets_at or directory.path / "secrets")

    def settings(name: str, prefix: str = "") -> dict[str, str]:
        trusted = {f"{prefix}NATS_CA_FILE": str(seen / "ca.pem")} if deployment.encrypted else {}
        return {
            f"{prefix}NATS_URL": deployment.url,
            f"{prefix}NATS_NKEY_SEED_FILE": str(seen / f"{name}.nk"),
            **trusted,
        }

    environments = {name: settings(name) | {"NATS_NAME": name} for name in SERVICES}
    for name in LINKED:
        environments[name] |= {"LINK_KEYS": str(seen / _link_keys(name))}
    if deployment.public_url:
        environments["notifications"]["PUBLIC_URL"] = deployment.public_url
    environments["registration"] |= settings(REGISTRATION_INTAKE, "PARTNERS_")
    environments[TOPOLOGY] = (
        settings(TOPOLOGY)
        | settings(TOPOLOGY_PARTNERS, "PARTNERS_")
        | {"PARTNERS": ",".join(deployment.partners), "REPLICAS": str(deployment.copies)}
    )
    environments[MONITOR] = settings(MONITOR) | {"NATS_NAME": MONITOR}
    environments[OPERATOR] = settings(OPERATOR) | {"NATS_NAME": OPERATOR}
    return environments


def _make_folder(path: Path, owner: int | None, mode: int = private.FOLDER) -> None:
    private.folder(path)
    _give(path, owner, mode)


def _give(path: Path, owner: int | None, mode: int) -> None:
    seen = path.stat()
    if owner not in (None, seen.st_uid):
        os.chown(path, owner, -1)
    if stat.S_IMODE(seen.st_mode) != mode:
        path.chmod(mode)


def _write(path: Path, text: str, owner: int | None, mode: int = private.FILE) -> None:
    """Replace a file where it differs: readers see the old text or the new, never a half."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        _give(path, owner, mode)
    else:
        private.write(path, text, mode=mode, owner=owner)


def _write_json(path: Path, content: object, owner: int | None) -> None:
    _write(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", owner)

"""What each service is told by its environment, and what ``endpoints.json`` tells everybody else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import private
from deploy.broker import RunningBroker
from deploy.endpoints import entry
from deploy.identities import REGISTRATION_INTAKE
from deploy.links import LINKED

_OFFSETS = {"registration": 2, "notifications": 3, "reporting": 4}


@dataclass(frozen=True, slots=True)
class Ports:
    """Five neighbouring ports on loopback, from ``base``."""

    base: int

    @property
    def broker(self) -> int:
        """Where clients of NATS connect."""
        return self.base

    @property
    def monitoring(self) -> int:
        """The broker's own pages."""
        return self.base + 1

    def http(self, service: str) -> int:
        """A service's HTTP face."""
        return self.base + _OFFSETS[service]

    def purposes(self) -> dict[int, str]:
        """Each port and what it is for, as a person would say it."""
        return {self.broker: "the broker", self.monitoring: "the broker's monitoring"} | {
            self.http(service): f"the web pages of {service}" for service in _OFFSETS
        }


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are under the one directory that holds all state."""

    data: Path

    @property
    def endpoints(self) -> Path:
        """Written when everything is ready, gone when it is not."""
        return self.data / "endpoints.json"

    @property
    def tokens(self) -> Path:
        """The tokens that stand in ``endpoints`` too, and outlast it."""
        return self.data / "tokens.json"

    def header(self, role: str) -> Path:
        """The token of a role as HTTP's header: ``curl --header @FILE`` reads it, so that no command line shows it."""
        return self.data / f"{role}.header"

    @property
    def lock(self) -> Path:
        """Held by whoever runs the system on this directory."""
        return self.data / "lock"

    @property
    def broker(self) -> Path:
        """The broker's configuration, passwords and store."""
        return self.data / "broker"

    @property
    def mail(self) -> Path:
        """The mails, unless another transport takes them."""
        return self.data / "mail"

    @property
    def link_keys(self) -> Path:
        """The keys of personal links, for the services that have them."""
        return self.data / "links.keys"

    @property
    def clock(self) -> Path:
        """The instant from which the services' clocks run on, when they do not show the real time."""
        return self.data / "now"

    def log(self, name: str) -> Path:
        """The log of the broker or of a service."""
        return self.data / "logs" / f"{name}.log"

    def database(self, service: str) -> Path:
        """The folder of a service's database."""
        return self.data / service

    def create(self) -> None:
        """Create the folders, and take from others what an earlier release let them read."""
        ours = not self.data.exists() or self.lock.exists() or not any(self.data.iterdir())
        for folder in (self.data / "logs", *(self.database(service) for service in _OFFSETS)):
            private.folder(folder)
        private.narrow(self.endpoints, self.tokens, self.link_keys, self.lock, self.clock)
        private.narrow_all(self.data / "logs", self.broker, self.mail, *map(self.database, _OFFSETS))
        if ours:
            # Somebody may have named a folder that holds more than what is ours.
            private.narrow(self.data)


def environment(
    service: str,
    *,
    broker: RunningBroker,
    ports: Ports,
    layout: Layout,
    clock: Path | None,
    transport: str | None,
    partners: Sequence[str],
) -> dict[str, str]:
    """What a service is told. Deelname's settings of the terminal it was started from do not leak in."""
    settings = {
        "NATS_URL": broker.address,
        "NATS_USER": service,
        "NATS_PASSWORD": broker.passwords[service],
        "NATS_NAME": service,
        "DATA": str(layout.database(service)),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(ports.http(service)),
        # Everybody here is one address, and benchmarks ask by the thousand.
        "PUBLIC_A_MINUTE": os.environ.get("DEELNAME_PUBLIC_A_MINUTE", "0"),
        "LOG_LEVEL": os.environ.get("DEELNAME_LOG_LEVEL", "info"),
    }
    if clock is not None:
        settings["NOW"] = str(clock)
    if service in LINKED:
        settings["LINK_KEYS"] = str(layout.link_keys)
    if service == "registration":
        settings |= {
            "PARTNERS_NATS_URL": broker.address,
            "PARTNERS_NATS_USER": REGISTRATION_INTAKE,
            "PARTNERS_NATS_PASSWORD": broker.passwords[REGISTRATION_INTAKE],
            # Registration asks the broker; one of an earlier release is told.
            "PARTNERS": ",".join(partners),
            "SMTPUTF8": os.environ.get("DEELNAME_SMTPUTF8", "no"),
            "PUBLIC_MAILS_A_SOURCE_AND_HOUR": os.environ.get("DEELNAME_PUBLIC_MAILS_A_SOURCE_AND_HOUR", "100"),
        }
    if service == "notifications":
        settings |= {
            "TRANSPORT": transport or f"maildir:{layout.mail}",
            "SENDER": os.environ.get("DEELNAME_SENDER", "Deelname <deelname@deelname.example>"),
            # Whoever tries things out on one machine should not wait minutes to see the mail about a change.
            "HOLD": os.environ.get("DEELNAME_HOLD", "PT1S"),
            # There is no mail server of others here that wants it slowly, and benchmarks enrol by the thousand.
            "MAILS_A_PROGRAMME_AND_HOUR": os.environ.get("DEELNAME_MAILS_A_PROGRAMME_AND_HOUR", "0"),
            "MAILS_A_MINUTE_AND_DOMAIN": os.environ.get("DEELNAME_MAILS_A_MINUTE_AND_DOMAIN", "0"),
            "UNCONFIRMED_MAILS_A_DOMAIN_AND_HOUR": os.environ.get(
                "DEELNAME_UNCONFIRMED_MAILS_A_DOMAIN_AND_HOUR", "200"
            ),
            "PUBLIC_URL": f"http://127.0.0.1:{ports.http('registration')}",
            "INBOX": os.environ.get("DEELNAME_INBOX", "off"),
        }
        if (most := os.environ.get("DEELNAME_INBOX_MAILS")) is not None:
            settings["INBOX_MAILS"] = most
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DEELNAME_")}
    return inherited | {"PYTHONUNBUFFERED": "1"} | {f"DEELNAME_{key}": value for key, value in settings.items()}


def endpoints(
    *,
    broker: RunningBroker,
    ports: Ports,
    layout: Layout,
    clock: Path | None,
    transport: str | None,
    tokens: Mapping[str, str],
) -> dict[str, Any]:
    """
    What a client in any language needs, and a person who looks around.

    ``mail`` is the folder of mails, None when they leave by SMTP; ``now`` the clock's file, None for the real time.
    ``tokens``, by role, are for what ``http`` asks the staff for.
    """
    leaves_as = transport or f"maildir:{layout.mail}"
    return {
        "nats": {
            identity.name: entry(broker.access, identity.name, broker.url(identity.name))
            for identity in broker.access.identities
        },
        "http": {service: f"http://127.0.0.1:{ports.http(service)}" for service in _OFFSETS},
        "tokens": dict(tokens),
        "mail": leaves_as.removeprefix("maildir:") if leaves_as.startswith("maildir:") else None,
        "now": str(clock) if clock else None,
        "monitoring": f"http://127.0.0.1:{ports.monitoring}",
        "partners": list(broker.access.partners),
        "data": str(layout.data),
        "logs": str(layout.log("nats").parent),
        "process": os.getpid(),
    }

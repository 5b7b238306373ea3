"""Settings that every service has. The class lives here; instances are made in a service's ``__main__`` alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypedDict, TypeVar

import structlog
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from services.chassis import journal
from services.chassis.access import Caller, Gate, Proxy
from services.chassis.connections import MOST_OF_A_SOURCE, Admission
from services.chassis.guard import Guard
from services.chassis.links import LinkKeys

SECRETS = Path("/run/secrets")


class Login(TypedDict):
    """How to connect to the broker: the arguments of ``broker.connect`` and ``broker.faststream_broker``."""

    url: str
    name: str
    user: str | None
    password: str | None
    nkey_seed_file: Path | None
    ca_file: Path | None


class CommonSettings(BaseSettings):
    """
    Read from the environment with the prefix ``DEELNAME_``; frozen.

    What the environment does not say is read from a file, ``/run/secrets/deelname_transport`` for one: the place where
    containers are given what is secret.
    """

    model_config = SettingsConfigDict(
        env_prefix="DEELNAME_",
        frozen=True,
        extra="ignore",
        # A complaint about one that is missing would show all others, passwords among them.
        hide_input_in_errors=True,
        env_ignore_empty=True,
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
    )

    nats_url: Annotated[str, Field(description="The broker: nats://host:port, several parted by commas.")]
    nats_user: Annotated[str | None, Field(description="User in the account APP.")] = None
    nats_password: SecretStr | None = None
    nats_nkey_seed_file: Annotated[Path | None, Field(description="Instead of user and password.")] = None
    nats_ca_file: Annotated[
        Path | None,
        Field(description="The authority (PEM) of the broker's certificate; plain text will not do then."),
    ] = None
    nats_name: Annotated[str, Field(description="Client name; the inbox prefix is _INBOX_<name>.")]
    data: Annotated[Path, Field(description="Directory of the service's database.")]
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)]
    public_a_minute: Annotated[
        int,
        Field(
            ge=0,
            description="Requests a minute from one address without credentials; a change counts for 5, 0 is no limit.",
        ),
    ] = 240
    connections_a_source: Annotated[
        int,
        Field(
            ge=0,
            description="Connections at once from one address (an IPv6 network of 64 bits is one) that is none of the"
            " proxies'; 0 is no limit but that of all.",
        ),
    ] = MOST_OF_A_SOURCE
    proxies: Annotated[
        str,
        Field(description="Addresses or networks of the proxy in front, parted by commas: nobody else is believed."),
    ] = ""
    proxy_subject_header: Annotated[
        str | None,
        Field(description="The header in which the proxy says who has signed in, such as X-Auth-Request-User."),
    ] = None
    proxy_groups_header: Annotated[
        str | None, Field(description="The header with their groups, parted by commas, such as X-Auth-Request-Groups.")
    ] = None
    proxy_groups: Annotated[
        str, Field(description="What groups may: 'staff=viewer,zeist=organiser:bieb-zeist+spn,ict=admin'.")
    ] = ""
    now: Annotated[
        str | None, Field(description="A settable clock: an ISO 8601 instant, or a file that holds one.")
    ] = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def guard(self, verify: Callable[[str], Caller | None] = lambda _text: None) -> Guard:
        """
        What stands before the HTTP face; ``verify`` knows tokens.

        Raises:
            InvalidProxy: the settings of the proxy can't be read.
        """
        return Guard.of(Gate(verify, self._proxy), self.public_a_minute)

    @property
    def admission(self) -> Admission:
        """
        Who may have how many connections to the HTTP face.

        Raises:
            InvalidProxy: the settings of the proxy can't be read.
        """
        return Admission(self.connections_a_source, self._proxy.trusts)

    @property
    def _proxy(self) -> Proxy:
        return Proxy.read(self.proxies, self.proxy_subject_header, self.proxy_groups_header, self.proxy_groups)

    @property
    def login(self) -> Login:
        """How to connect to the broker."""
        return Login(
            url=self.nats_url,
            name=self.nats_name,
            user=self.nats_user,
            password=self.nats_password.get_secret_value() if self.nats_password else None,
            nkey_seed_file=self.nats_nkey_seed_file,
            ca_file=self.nats_ca_file,
        )


class LinkSettings(CommonSettings):
    """Of a service that makes personal links or opens them."""

    link_keys: Annotated[
        Path, Field(description="The file of the keys of personal links: the same for registration and notifications.")
    ]

    @field_validator("link_keys")
    @classmethod
    def _holds_keys(cls, value: Path) -> Path:
        LinkKeys.read(value)
        return value

    @property
    def links(self) -> LinkKeys:
        """
        The keys, as the file has them now.

        Raises:
            UnusableKeys: it has changed since it was looked at, for the worse.
        """
        return LinkKeys.read(self.link_keys)


Kind = TypeVar("Kind", bound=CommonSettings)


def read(kind: type[Kind], service: str) -> Kind:
    """The settings; where they cannot work a line of the log says which and why, and the process ends with 1."""
    try:
        return kind()
    except ValidationError as error:
        faults = [
            f"{'_'.join(('DEELNAME', *map(str, fault['loc']))).upper()}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    except SettingsError as error:
        # pydantic-settings says which only in its sentence.
        field = re.search(r'field "(\w+)"', str(error))
        faults = [f"DEELNAME_{field[1].upper()}: this is to be JSON" if field else str(error)]
    journal.configure(service=service)
    structlog.get_logger("chassis.settings").critical(f"the settings cannot work: {'; '.join(faults)}")
    sys.exit(1)

"""What notifications needs to know from its environment."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from services.chassis.settings import LinkSettings
from services.notifications.hygiene import UnusableAddress, link, mailbox
from services.notifications.inbox.lmtp import parse_inbox
from services.notifications.inbox.room import MOST_UNREAD, MOST_UNREAD_MAILS, Room
from services.notifications.letters import Address
from services.notifications.return_path import ReturnPaths
from services.notifications.sender.limits import LARGEST_SHARE, Limits
from services.notifications.transport import parse_transport


def sender_address(text: str) -> Address:
    """
    The address that ``Deelname <deelname@example.org>`` stands for.

    Raises:
        ValueError: no mail can come from it.
    """
    name, bracket, rest = text.rpartition("<")
    address = rest.strip().removesuffix(">") if bracket else text.strip()
    try:
        mailbox(address)
    except UnusableAddress as error:
        raise ValueError(f"write it as 'Name <mailbox@example.org>': {error}") from None
    return Address(name.strip().strip('"') or "Deelname", address)


class Settings(LinkSettings):
    """How mails leave, and in whose name."""

    # A transport that cannot be read is complained about; the complaint must not repeat the password in it.
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    nats_name: str = "notifications"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8102
    # Secret because it may hold a password.
    transport: Annotated[SecretStr, Field(description="maildir:PATH, smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://…")]
    sender: Annotated[
        str, Field(description="The From of every mail and the organiser of every invitation; somebody must read it.")
    ]
    public_url: Annotated[
        str, Field(description="Where people reach registration's pages; links in mails lead there.")
    ] = ""
    archive_days: Annotated[
        int, Field(ge=1, description="Days after which the bytes of a mail are forgotten; that it was sent is not.")
    ] = 180
    inbox: Annotated[
        str, Field(description="Where mail servers hand over what comes back: lmtp://127.0.0.1:2424, or off.")
    ] = "off"
    bounces: Annotated[
        str | None,
        Field(description="The mailbox of what comes back; each mail's envelope sender is an address beside it."),
    ] = None
    inbox_days: Annotated[
        int, Field(ge=14, description="Days after which it is forgotten what came back; bounces count for 14.")
    ] = 30
    inbox_mails: Annotated[
        int, Field(ge=10, description="The most mails that are kept for a person, a tenth of them of one sender.")
    ] = MOST_UNREAD_MAILS
    inbox_octets: Annotated[
        int, Field(ge=1_000_000, description="Octets of all of them together, a tenth of them of one sender.")
    ] = MOST_UNREAD
    quiet_until: Annotated[
        int,
        Field(
            ge=0, description="Facts up to this position are remembered but mailed to nobody: for a log with a past."
        ),
    ] = 0

    hold: Annotated[
        timedelta,
        Field(
            ge=timedelta(),
            le=timedelta(hours=1),
            description="How long a changed session waits, so that several changes become one mail: PT3M or 00:03:00.",
        ),
    ] = timedelta(minutes=3)

    mails_a_person_and_hour: Annotated[
        int, Field(ge=0, description="The most mails to one mailbox within an hour; the rest waits. 0: no cap.")
    ] = 60
    mails_a_programme_and_hour: Annotated[
        int, Field(ge=0, description="The most mails of one programme within an hour; the rest waits. 0: no cap.")
    ] = 5000
    mails_a_minute: Annotated[
        int, Field(ge=0, description="How fast mails go to the mail server. 0: as fast as it takes them.")
    ] = 0
    mails_a_minute_and_domain: Annotated[
        int,
        Field(ge=0, description="How fast mails go to addresses of one domain. 0: as fast as the server takes them."),
    ] = 120
    unconfirmed_percent: Annotated[
        int,
        Field(
            ge=1,
            le=LARGEST_SHARE,
            description="The share of the pace, and of each number by the hour besides, of mails to addresses that"
            " strangers typed and nobody has confirmed.",
        ),
    ] = 20
    unconfirmed_mails_a_domain_and_hour: Annotated[
        int, Field(ge=0, description="The most of those mails to addresses of one domain within an hour. 0: no cap.")
    ] = 200
    domains: Annotated[
        dict[str, Annotated[int, Field(ge=0)]],
        Field(
            default_factory=dict,
            description='Another number of mails a minute for some domains, as JSON: {"outlook.com": 30}.',
        ),
    ]

    @field_validator("domains")
    @classmethod
    def _in_lower_case(cls, value: dict[str, int]) -> dict[str, int]:
        return {domain.lower(): a_minute for domain, a_minute in value.items()}

    @property
    def limits(self) -> Limits:
        """How many mails may go out."""
        return Limits(
            person=self.mails_a_person_and_hour,
            programme=self.mails_a_programme_and_hour,
            relay=self.mails_a_minute,
            domain=self.mails_a_minute_and_domain,
            domains=self.domains,
            strangers_percent=self.unconfirmed_percent,
            strangers_domain=self.unconfirmed_mails_a_domain_and_hour,
        )

    @property
    def room(self) -> Room:
        """How much is kept for a person of what comes in."""
        return Room(mails=self.inbox_mails, octets=self.inbox_octets)

    @field_validator("transport")
    @classmethod
    def _names_a_transport(cls, value: SecretStr) -> SecretStr:
        parse_transport(value.get_secret_value())
        return value

    @field_validator("public_url")
    @classmethod
    def _can_be_led_to(cls, value: str) -> str:
        if value and (link(value) is None or {"?", "#"} & set(value)):
            raise ValueError("write it as https://deelname.example.org, with a path at most")
        return value

    @field_validator("inbox")
    @classmethod
    def _names_an_inbox(cls, value: str) -> str:
        parse_inbox(value)
        return value

    @field_validator("bounces")
    @classmethod
    def _leaves_room(cls, value: str | None) -> str | None:
        if value is not None:
            ReturnPaths(value, b"")
        return value

    @property
    def bounce_mailbox(self) -> str:
        """The mailbox of what comes back: as set, else ``bounce`` at the sender's domain."""
        return self.bounces or f"bounce@{sender_address(self.sender).mailbox.rpartition('@')[2]}"

    @field_validator("sender")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        sender_address(value)
        return value

"""
Who connects to the broker, in which account, and what each may do: one table of frozen data, nothing else decides it.

The configuration of the broker is written from it (``configuration.py``), and the tests attack what it leaves out.

Three thoughts shape it:

* A client chooses the reply subject of every request, and the server stores its answer there if a stream listens
  (``reply = log.registration.…`` forges a fact). A publish permission cannot stop that, an account can: whoever is not
  trusted with a stream lives in an account without one and reaches the few subjects it needs by a service import. The
  server then answers in the asker's own account. So each partner has an account of its own, and so have the staff and
  each service. With the streams live only those who declare them, and registration's user that takes intake in.
* Whoever may create a push consumer chooses where its messages go (nats-server#8274), an argument-less command among
  the places. Only the two readers of the logs may, and where the logs are nobody listens but those two readers.
* Every client sees answers under its own inbox prefix alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from contracts import subjects
from contracts.servers import STREAMS_OF_ALL

APPLICATION = "APP"
"""The logs and the contacts; no service is in it."""
REGISTRATION = "REGISTRATION"
NOTIFICATIONS = "NOTIFICATIONS"
REPORTING = "REPORTING"
PARTNERS = "PARTNERS"
"""What partners sent and were answered; no partner is in it."""
STAFF = "STAFF"
MONITORING = "MONITORING"
SYSTEM = "SYS"

CONTACTS_STREAM = f"KV_{subjects.CONTACTS}"
CONTACTS_KEYS = f"$KV.{subjects.CONTACTS}.>"

SERVICES = ("registration", "notifications", "reporting")
REGISTRATION_INTAKE = "registration_intake"
"""Registration's second user, in the partners' account. Its inbox prefix is the one of ``registration``."""
TOPOLOGY = "topology"
TOPOLOGY_PARTNERS = "topology_partners"
MONITOR = "monitor"
OPERATOR = "operator"
"""Has the broker read its configuration again, and may do nothing else."""

_PARTNER_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_PARTNER_NAME = 40
_RESERVED = frozenset(
    {*SERVICES, REGISTRATION_INTAKE, TOPOLOGY, TOPOLOGY_PARTNERS, MONITOR, OPERATOR, "staff", "web", "system"}
)


class InvalidPartner(ValueError):  # noqa: N818 - it reads as what is wrong
    """A partner's name cannot be a word of a subject, or is taken by a part of the system."""


class Answers(StrEnum):
    """How many messages a service import may answer with."""

    ONE = "singleton"
    MANY = "stream"


@dataclass(frozen=True, slots=True)
class Identity:
    """
    One user of the broker.

    ``publish`` and ``subscribe`` are the subjects that it may use, patterns of NATS; everything else is refused.
    ``never`` is what a pattern of ``publish`` would let through and must not.
    """

    name: str
    account: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...] = ()
    inbox: str = ""
    never: tuple[str, ...] = ()

    @property
    def inbox_prefix(self) -> str:
        """The inbox prefix that this user has to connect with, for it may subscribe to no other."""
        return f"_INBOX_{(self.inbox or self.name).replace('-', '_')}"


@dataclass(frozen=True, slots=True)
class Import:
    """
    A subject that one account may ask another for.

    ``within`` is set for subjects of the JetStream interface that the server would answer in the asker's own account
    ("JetStream not enabled for account"): a mapping sends them there first, so that clients need not know.
    ``share`` has the server say which user asks, in the header ``Nats-Request-Info``, over whatever the user put there.
    """

    subject: str
    account: str
    answers: Answers = Answers.ONE
    within: str | None = None
    share: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """
    A closed space of subjects. ``streams`` says that streams may live in it.

    ``hears`` are the subjects on which consumers of the account ``hears_from`` may deliver to this one.
    ``connections`` are the most at once, so that no one takes the places of all; ``subscriptions`` the most of each.
    """

    name: str
    streams: bool = False
    imports: tuple[Import, ...] = ()
    hears: tuple[str, ...] = ()
    hears_from: str = APPLICATION
    connections: int = 32
    subscriptions: int = 500


@dataclass(frozen=True, slots=True)
class Access:
    """The whole table: accounts, and who is in them."""

    accounts: tuple[Account, ...]
    identities: tuple[Identity, ...]
    partners: tuple[str, ...] = field(default=())

    def identity(self, name: str) -> Identity:
        """
        The user of this name.

        Raises:
            KeyError: there is none.
        """
        for identity in self.identities:
            if identity.name == name:
                return identity
        raise KeyError(name)


def partner_account(partner: str) -> str:
    """The name of the account that a partner is alone in."""
    return f"PARTNER_{partner.upper().replace('-', '_')}"


def access(partners: Iterable[str]) -> Access:
    """
    The table for these partners.

    Raises:
        InvalidPartner: a name is not lower-case words joined by single hyphens, is longer than 40 characters, is
            reserved, or would share a stream or an account with another (``a-b`` twice).
    """
    names = tuple(partners)
    _check(names)
    return Access(
        accounts=(
            Account(APPLICATION, streams=True),
            Account(REGISTRATION, imports=_REGISTRATION_IMPORTS),
            Account(NOTIFICATIONS, imports=_NOTIFICATIONS_IMPORTS, hears=(_own_inbox("notifications"),)),
            Account(REPORTING, imports=_REPORTING_IMPORTS, hears=(_own_inbox("reporting"),)),
            Account(PARTNERS, streams=True),
            # Each command of the tool is a connection, and many people type at once.
            Account(STAFF, imports=_STAFF_IMPORTS, connections=256),
            *(
                Account(partner_account(name), imports=_partner_imports(name), connections=16, subscriptions=100)
                for name in names
            ),
            Account(MONITORING, imports=_MONITORING_IMPORTS),
            Account(SYSTEM),
        ),
        identities=(
            _REGISTRATION,
            _NOTIFICATIONS,
            _REPORTING,
            _TOPOLOGY,
            _REGISTRATION_INTAKE,
            _TOPOLOGY_PARTNERS,
            _STAFF,
            _MONITOR,
            _OPERATOR,
            *(_partner(name) for name in names),
        ),
        partners=names,
    )


def _check(names: tuple[str, ...]) -> None:
    for name in names:
        if not _PARTNER_NAME.fullmatch(name) or len(name) > _LONGEST_PARTNER_NAME:
            raise InvalidPartner(
                f"{name!r} cannot name a partner: at most {_LONGEST_PARTNER_NAME} characters, lower-case letters and"
                " digits, words joined by single hyphens"
            )
        if name in _RESERVED:
            raise InvalidPartner(f"{name!r} cannot name a partner: a part of Deelname has that name")
        if names.count(name) > 1:
            raise InvalidPartner(f"the partner {name!r} is listed more than once")


def _own_inbox(name: str) -> str:
    return f"_INBOX_{name.replace('-', '_')}.>"


def _within(subject: str) -> str:
    """What a subject of the JetStream interface is called on its way to the application's account."""
    return f"application.{subject.removeprefix('$JS.API.').lower()}"


def _asks_of(subject: str, answers: Answers = Answers.ONE) -> Import:
    return Import(subject, APPLICATION, answers, within=_within(subject))


def _reads_by_consumer(stream: str) -> tuple[Import, ...]:
    """What an ordered consumer takes: the stream's state, a short-lived consumer without a name, its flow control."""
    return (
        _asks_of(f"$JS.API.STREAM.INFO.{stream}"),
        _asks_of(f"$JS.API.CONSUMER.CREATE.{stream}"),
        Import(f"$JS.FC.{stream}.>", APPLICATION),
    )


def _writes(log: str, stream: str) -> tuple[Import, ...]:
    """What the relay takes: it writes the log, and asks the stream, and nobody else, how far it is."""
    return (
        Import(log, APPLICATION),
        _asks_of(f"$JS.API.STREAM.INFO.{stream}"),
        _asks_of(f"$JS.API.STREAM.MSG.GET.{stream}"),
    )


def _serves(service: str) -> tuple[str, ...]:
    return (subjects.commands_of(service), subjects.queries_of(service), _own_inbox(service))


def _may_ask(imports: tuple[Import, ...]) -> tuple[str, ...]:
    """The server checks a permission after the mapping as well as before."""
    return tuple(item.subject for item in imports) + tuple(item.within for item in imports if item.within)


_CONTACTS_STATE = f"$JS.API.STREAM.INFO.{CONTACTS_STREAM}"
_REVISIONS_OF_CONTACTS = f"$JS.API.STREAM.MSG.GET.{CONTACTS_STREAM}"
_ERASES_CONTACTS = f"$JS.API.STREAM.MSG.DELETE.{CONTACTS_STREAM}"
"""One revision of one contact, which the server overwrites in its file: nothing else does."""
_ONE_CONTACT = f"$JS.API.DIRECT.GET.{CONTACTS_STREAM}.{CONTACTS_KEYS}"
_MANY_CONTACTS = f"$JS.API.DIRECT.GET.{CONTACTS_STREAM}"
"""Of the people that the question names; it is answered by a message each."""

_ANSWERS = ("_R_.>",)
"""
Where a service answers: the reply subjects that the server makes up for requests from other accounts.

``allow_responses`` would do more than wanted: it lets a service answer on whatever subject the asker named, and makes
the server remember every message that a fast reader gets.
"""

_SERVERS = (
    Import("$SYS.REQ.SERVER.PING.HEALTHZ", SYSTEM, Answers.MANY),
    Import(STREAMS_OF_ALL, SYSTEM, Answers.MANY),
)
"""
Whether each server can store, and which of them are there, which nobody else says; asked by the two services that write
what others read. Of streams they learn what they are called and how much is in them, and of no message what is in it.
"""

_REGISTRATION_IMPORTS = (
    *_writes(subjects.log_subjects("registration"), subjects.log_stream("registration")),
    Import(CONTACTS_KEYS, APPLICATION),
    _asks_of(_CONTACTS_STATE),
    _asks_of(_REVISIONS_OF_CONTACTS),
    _asks_of(_ERASES_CONTACTS),
    Import(_ONE_CONTACT, APPLICATION),
    *_SERVERS,
)

_REGISTRATION = Identity(
    name="registration",
    account=REGISTRATION,
    publish=(*_ANSWERS, *_may_ask(_REGISTRATION_IMPORTS)),
    subscribe=_serves("registration"),
)

_NOTIFICATIONS_IMPORTS = (
    *_writes(subjects.log_subjects("notifications"), subjects.log_stream("notifications")),
    *_reads_by_consumer(subjects.log_stream("registration")),
    _asks_of(_CONTACTS_STATE),
    Import(_MANY_CONTACTS, APPLICATION, Answers.MANY),
    # As the last release asks: the broker is configured before services are replaced one by one.
    Import(_ONE_CONTACT, APPLICATION),
    *_SERVERS,
)

_NOTIFICATIONS = Identity(
    name="notifications",
    account=NOTIFICATIONS,
    publish=(*_ANSWERS, *_may_ask(_NOTIFICATIONS_IMPORTS)),
    subscribe=_serves("notifications"),
)

_REPORTING_IMPORTS = (
    *_reads_by_consumer(subjects.log_stream("registration")),
    *_reads_by_consumer(subjects.log_stream("notifications")),
)

_REPORTING = Identity(
    name="reporting",
    account=REPORTING,
    publish=(*_ANSWERS, *_may_ask(_REPORTING_IMPORTS)),
    subscribe=_serves("reporting"),
)

_DECLARES = (
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.CREATE.*",
    "$JS.API.STREAM.UPDATE.*",
)

_TOPOLOGY = Identity(
    name=TOPOLOGY,
    account=APPLICATION,
    publish=(
        *_DECLARES,
        # A copy that is made anew, and filled again by registration.
        f"$JS.API.STREAM.DELETE.{CONTACTS_STREAM}",
    ),
    subscribe=(_own_inbox(TOPOLOGY),),
)

_TOPOLOGY_PARTNERS = Identity(
    name=TOPOLOGY_PARTNERS,
    account=PARTNERS,
    publish=(
        *_DECLARES,
        "$JS.API.CONSUMER.NAMES.*",
        "$JS.API.CONSUMER.INFO.*.*",
        "$JS.API.CONSUMER.CREATE.*.>",
        # The intake of a partner that leaves. Answers outlive whoever they were for.
        "$JS.API.STREAM.DELETE.*",
    ),
    subscribe=(_own_inbox(TOPOLOGY),),
    inbox=TOPOLOGY,
    never=(f"$JS.API.STREAM.DELETE.{subjects.OUTCOMES_STREAM}",),
)

_READABLE_BY_STAFF = tuple(subjects.log_stream(service) for service in ("registration", "notifications"))

_ACCOUNT_OF = {"registration": REGISTRATION, "notifications": NOTIFICATIONS, "reporting": REPORTING}

_STAFF_IMPORTS = (
    *(Import(subjects.commands_of(service), account, share=True) for service, account in _ACCOUNT_OF.items()),
    *(Import(subjects.queries_of(service), account, share=True) for service, account in _ACCOUNT_OF.items()),
    *(Import(f"$JS.API.DIRECT.GET.{stream}", APPLICATION, Answers.MANY) for stream in _READABLE_BY_STAFF),
    *(_asks_of(f"$JS.API.STREAM.INFO.{stream}") for stream in _READABLE_BY_STAFF),
)

_STAFF = Identity(
    name="staff",
    account=STAFF,
    publish=_may_ask(_STAFF_IMPORTS),
    subscribe=(_own_inbox("staff"),),
)


_REGISTRATION_INTAKE = Identity(
    name=REGISTRATION_INTAKE,
    account=PARTNERS,
    publish=(
        subjects.outcomes(),
        f"$JS.API.STREAM.INFO.{subjects.OUTCOMES_STREAM}",
        f"$JS.API.STREAM.MSG.GET.{subjects.OUTCOMES_STREAM}",
        # Which partners there are: whoever has an intake. A partner may come and go without a word to registration.
        "$JS.API.STREAM.NAMES",
        # Each intake has a consumer of this name, and nothing else may have one: no partner can be called so.
        f"$JS.API.CONSUMER.INFO.*.{subjects.INTAKE_READER}",
        f"$JS.API.CONSUMER.MSG.NEXT.*.{subjects.INTAKE_READER}",
        # What was handed to a registration that was killed is handed out again at once, before anything newer.
        f"$JS.API.CONSUMER.RESET.*.{subjects.INTAKE_READER}",
        f"$JS.ACK.*.{subjects.INTAKE_READER}.>",
    ),
    subscribe=(_own_inbox("registration"),),
    inbox="registration",
)

_MONITORING_IMPORTS = tuple(
    Import(f"$SYS.REQ.SERVER.PING{page}", SYSTEM, Answers.MANY)
    for page in ("", ".HEALTHZ", ".VARZ", ".CONNZ", ".JSZ", ".ROUTEZ")
)
"""How each server is, who is connected, and how far every stream and consumer is; of no message what is in it."""

_MONITOR = Identity(
    name=MONITOR,
    account=MONITORING,
    publish=_may_ask(_MONITORING_IMPORTS),
    subscribe=(_own_inbox(MONITOR),),
)

_OPERATOR = Identity(
    name=OPERATOR,
    account=SYSTEM,
    publish=("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.*.RELOAD"),
    subscribe=(_own_inbox(OPERATOR),),
)


def _partner_imports(partner: str) -> tuple[Import, ...]:
    stream = subjects.OUTCOMES_STREAM
    return (
        Import(subjects.intake_of(partner), PARTNERS),
        Import(f"$JS.API.CONSUMER.INFO.{stream}.{partner}", PARTNERS, within=f"partners.consumer.info.{partner}"),
        Import(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{partner}", PARTNERS, Answers.MANY),
        Import(f"$JS.ACK.{stream}.{partner}.>", PARTNERS),
    )


def _partner(name: str) -> Identity:
    return Identity(
        name=name,
        account=partner_account(name),
        publish=_may_ask(_partner_imports(name)),
        subscribe=(_own_inbox(name),),
    )

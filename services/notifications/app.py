"""The wiring: which subject is handled by what, and what a running service consists of."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib.metadata import version
from sqlite3 import Connection
from typing import Any

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from contracts import commands, queries, subjects
from contracts.facts import (
    InvitationAnswered,
    MailBounced,
    MailFailed,
    MailSent,
    SuppressionAdded,
    SuppressionLifted,
    variant,
)
from services.chassis import copies, service
from services.chassis.broker import connect, faststream_broker, while_connected
from services.chassis.clock import Clock, clock_from
from services.chassis.commands import Route, serve
from services.chassis.database import Database
from services.chassis.health import Health
from services.chassis.reader import Reader
from services.chassis.relay import Relay
from services.chassis.specification import Channel, specification
from services.notifications import store
from services.notifications.contacts import Contacts
from services.notifications.handlers import Archivist, Desk, Planner
from services.notifications.inbox import Inbox, Lmtp, Postbox, parse_inbox
from services.notifications.measures import measure
from services.notifications.rendering import Renderer
from services.notifications.return_path import ReturnPaths
from services.notifications.sender import Sender
from services.notifications.settings import Settings, sender_address
from services.notifications.transport import parse_transport
from services.notifications.web import application

NAME = "notifications"
TITLE = "Deelname notifications"
DESCRIPTION = "Tells each person once. It reads the log of registration and writes a log of what became of each mail."
OWN_STREAM = subjects.log_stream(NAME)
_TIDY_EVERY = 3600.0
_FORGET_EVERY = 5.0
_MOST_NAMED = 5


class DatabaseBehind(RuntimeError):  # noqa: N818
    """The stream of our facts tells of mails that the database does not know: it would send them again."""


def routes(desk: Desk, postbox: Postbox) -> tuple[Route, ...]:
    """The wiring table."""
    return (
        Route(
            subject=subjects.query(NAME, "mail", "list"),
            request=queries.MailsQuestion,
            reply=queries.MailList,
            handler=desk.list_mails,
            description="Mails and their fate, the newest first.",
        ),
        Route(
            subject=subjects.query(NAME, "mail", "preview"),
            request=queries.MailPreviewQuestion,
            reply=queries.MailPreview,
            handler=desk.preview_mail,
            description="How a mail would look now; nothing is sent.",
        ),
        Route(
            subject=subjects.query(NAME, "person", "export"),
            request=queries.PersonQuestion,
            reply=queries.MailsExport,
            handler=desk.export_person,
            description="Everything that notifications keeps about a person.",
        ),
        Route(
            subject=subjects.command(NAME, "mail", "retry"),
            request=commands.RetryMail,
            reply=commands.RetriedMail,
            handler=desk.retry_mail,
            description="Send a mail once more that failed or whose fate is unknown.",
        ),
        Route(
            subject=subjects.command(NAME, "mail", "receive"),
            request=commands.ReceiveMail,
            reply=commands.ReceivedMail,
            handler=postbox.receive_mail,
            description="Take a mail that came back: a bounce, or an answer to an invitation.",
        ),
        Route(
            subject=subjects.query(NAME, "received", "list"),
            request=queries.ReceivedQuestion,
            reply=queries.ReceivedList,
            handler=postbox.list_received,
            description="Mails that came back and what was made of them, the newest first.",
        ),
        Route(
            subject=subjects.query(NAME, "received", "get"),
            request=queries.ReceivedMailQuestion,
            reply=queries.ReceivedMessage,
            handler=postbox.get_received,
            description="A mail that came back and is kept for a person, as it came.",
        ),
        Route(
            subject=subjects.query(NAME, "suppression", "list"),
            request=queries.Everything,
            reply=queries.SuppressionList,
            handler=postbox.list_suppressions,
            description="Addresses to which nothing is sent, the newest first.",
        ),
        Route(
            subject=subjects.command(NAME, "suppression", "add"),
            request=commands.AddSuppression,
            reply=commands.Suppressed,
            handler=postbox.add_suppression,
            description="Send nothing more to an address.",
        ),
        Route(
            subject=subjects.command(NAME, "suppression", "lift"),
            request=commands.LiftSuppression,
            reply=commands.Suppressed,
            handler=postbox.lift_suppression,
            description="Send to an address again.",
        ),
    )


CHANNELS: tuple[Channel, ...] = tuple(
    Channel(
        subject=subjects.fact_subject(NAME, name, "{programme}"),
        payload=variant(name),
        description=(model.__doc__ or "").strip(),
    )
    for name, model in (
        ("mail.sent.v1", MailSent),
        ("mail.failed.v1", MailFailed),
        ("mail.bounced.v1", MailBounced),
        ("invitation.answered.v1", InvitationAnswered),
        ("suppression.added.v1", SuppressionAdded),
        ("suppression.lifted.v1", SuppressionLifted),
    )
)
"""What the service says without being asked."""


def document() -> dict[str, Any]:
    """The AsyncAPI 3 document of notifications."""
    # Nothing is called: the table is only read.
    table = (
        *routes(Desk.__new__(Desk), Postbox.__new__(Postbox)),
        *copies.routes(NAME, copies.Copies.__new__(copies.Copies)),
    )
    return specification(TITLE, version("deelname-notifications"), DESCRIPTION, table, CHANNELS)


async def start(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """
    Run the service until it is told to stop.

    Raises:
        DatabaseBehind: the database is older than what it has told of.
        ValueError: a setting cannot work; the message says which and why.
    """
    clock = clock_from(settings.now)
    renderer = Renderer(sender_address(settings.sender), settings.public_url)
    transport = parse_transport(settings.transport.get_secret_value())
    async with AsyncExitStack() as parts:
        path = settings.data / "notifications.db"
        restored = copies.take_up(path, NAME)
        database = await Database.open(path, store.MIGRATIONS)
        parts.push_async_callback(database.close)
        if restored is not None:
            await doubt(database, restored, clock)
        kept = copies.Copies(path, copies.positions_of({OWN_STREAM: store.LOG}))
        kept.discard_leftovers()
        connection = await connect(**settings.login)
        parts.push_async_callback(connection.close)
        await refuse_old_database(connection, database)
        await transport.open()
        parts.push_async_callback(transport.close)
        broker = faststream_broker(**settings.login)

        contacts = Contacts(connection)
        relay = Relay(connection, database, store.LOG, OWN_STREAM)
        return_paths = ReturnPaths(settings.bounce_mailbox, await database.run(store.key))
        sender = Sender(
            database,
            transport=transport,
            contacts=contacts,
            renderer=renderer,
            clock=clock,
            state=lambda: planner.state,
            envelope_from=return_paths.of,
            appended=relay.offer,
            limits=settings.limits,
        )
        planner = Planner(database, clock, sender.wake, quiet_until=settings.quiet_until, hold=settings.hold)

        def taken() -> None:
            relay.wake()
            sender.wake()

        inbox = Inbox(
            database,
            return_paths=return_paths,
            organiser=renderer.sender.mailbox,
            clock=clock,
            appended=taken,
        )
        postbox = Postbox(database, inbox=inbox, contacts=contacts, clock=clock, appended=relay.wake)
        desk = Desk(
            database,
            state=lambda: planner.state,
            contacts=contacts,
            renderer=renderer,
            clock=clock,
            prod=sender.prod,
        )
        reader = Reader(connection, store.FACTS, position=planner.position, apply=planner.apply)
        await planner.load()

        async def transport_trouble() -> str:
            return f"the mail server refuses us: {sender.fault}" if sender.fault else ""

        async def lasting_caps() -> str:
            capped = sender.capped_for_long
            return f"more than an hour over the cap of mails: {', '.join(capped[:_MOST_NAMED])}" if capped else ""

        health = Health(
            database,
            relays={OWN_STREAM: relay},
            readers={store.FACTS: reader},
            checks={"transport": transport_trouble, "caps": lasting_caps},
            clock=clock,
        )
        serve(broker, (*routes(desk, postbox), *copies.routes(NAME, kept)), queue=NAME)
        archivist = Archivist(database, clock, archive_days=settings.archive_days, inbox_days=settings.inbox_days)
        tasks = {
            "reader": reader.run,
            "sender": sender.run,
            "relay": relay.run,
            "forget": service.periodic(_FORGET_EVERY, database.forget),
            "archivist": service.periodic(_TIDY_EVERY, archivist.tidy),
        }
        listens = parse_inbox(settings.inbox)
        if listens is not None:
            tasks["inbox"] = Lmtp(*listens, takes=inbox.takes, receive=inbox.receive).run
        await service.run(
            application(health, settings.guard(), measure(database, sender, clock)),
            host=settings.http_host,
            port=settings.http_port,
            brokers=(broker,),
            tasks=tasks,
            stop=stop,
        )


async def doubt(database: Database, restored: copies.Restored, clock: Clock) -> None:
    """
    Mail nobody of whom it is unknown, after a backup was restored, whether they were mailed.

    What was not sent when our database was copied may have been sent since, and so may what follows from facts that
    registration's copy, made after ours, has and ours has not. Staff see these mails as uncertain and can send them.
    """
    told = restored.positions.get("registration", {}).get(store.FACTS, 0)

    def settle(raw: Connection) -> None:
        store.doubt_until(raw, told)
        store.doubt(raw, clock())

    await database.transact(settle)
    restored.finish()


async def refuse_old_database(connection: Client, database: Database) -> None:
    """
    Make sure that the database knows of every mail that was told of.

    Raises:
        DatabaseBehind: it does not, because it was lost or is an old copy.
    """
    try:
        info = await while_connected(connection, connection.jetstream(timeout=5).stream_info(OWN_STREAM))
    except NotFoundError:
        return
    head = await database.run(store.LOG.head)
    if info.state.last_seq > head:
        raise DatabaseBehind(
            f"{database.path} knows {head} mails' outcomes, the stream {OWN_STREAM} tells of {info.state.last_seq}:"
            " starting would mail people again. Restore the newest copy of the database."
        )

"""The wiring: which subject is handled by what, and what a running service consists of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from importlib.metadata import version
from sqlite3 import Connection
from typing import Any

import structlog
from nats.aio.client import Client

from contracts import commands, queries, subjects
from contracts.facts import (
    InvitationAnswered,
    MailBounced,
    MailFailed,
    MailSent,
    SuppressionAdded,
    SuppressionLifted,
    prepare,
    variant,
)
from services.chassis import copies, service
from services.chassis.broker import connect, faststream_broker
from services.chassis.clock import Clock, clock_from
from services.chassis.cluster import SECONDS_BETWEEN_LOOKS as SECONDS_BETWEEN_LOOKS_AT_SERVERS
from services.chassis.cluster import Cluster
from services.chassis.commands import Route, serve
from services.chassis.database import Database
from services.chassis.going_back import SECONDS_BETWEEN_LOOKS as SECONDS_BETWEEN_LOOKS_BACK
from services.chassis.going_back import GoingBack
from services.chassis.health import Health
from services.chassis.metrics import together
from services.chassis.opening import Opening
from services.chassis.reader import Reader
from services.chassis.reading_back import as_facts, beyond, last_number
from services.chassis.relay import Relay
from services.chassis.specification import Channel, specification
from services.chassis.stores import SECONDS_BETWEEN_LOOKS, Stores
from services.notifications import store
from services.notifications.contacts import Contacts
from services.notifications.handlers import Archivist, Desk, Planner
from services.notifications.inbox import Inbox, Lmtp, MailReader, Postbox, parse_inbox
from services.notifications.links import PersonalLinks
from services.notifications.measures import measure
from services.notifications.rendering import Renderer
from services.notifications.return_path import ReturnPaths
from services.notifications.sender import Sender, UnderWay
from services.notifications.settings import Settings, sender_address
from services.notifications.transport import parse_transport
from services.notifications.web import application

NAME = "notifications"
TITLE = "Deelname notifications"
DESCRIPTION = "Tells each person once. It reads the log of registration and writes a log of what became of each mail."
OWN_STREAM = subjects.log_stream(NAME)
_TIDY_EVERY = 3600.0
_FORGET_EVERY = 5.0
_LOOK_EVERY = 15.0
_MOST_NAMED = 5

_log = structlog.get_logger("notifications.app")


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
            subject=subjects.command(NAME, "mail", "resend"),
            request=commands.ResendMail,
            reply=commands.ResentMail,
            handler=desk.resend_mail,
            description="Send a new copy of a mail that went out, on purpose.",
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
            subject=subjects.command(NAME, "received", "dismiss"),
            request=commands.DismissReceived,
            reply=commands.Dismissed,
            handler=postbox.dismiss_received,
            description="Mails that were kept for a person need not be any more.",
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


def channels() -> Iterable[Channel]:
    """What the service says without being asked."""
    for name, model in (
        ("mail.sent.v1", MailSent),
        ("mail.failed.v1", MailFailed),
        ("mail.bounced.v1", MailBounced),
        ("invitation.answered.v1", InvitationAnswered),
        ("suppression.added.v1", SuppressionAdded),
        ("suppression.lifted.v1", SuppressionLifted),
    ):
        subject = subjects.fact_subject(NAME, name, "{programme}")
        yield Channel(
            subject=subject, payload=variant(name), description=(model.__doc__ or name).strip().splitlines()[0]
        )


def document() -> dict[str, Any]:
    """The AsyncAPI 3 document of notifications."""
    # Nothing is called: the table is only read.
    table = (
        *routes(Desk.__new__(Desk), Postbox.__new__(Postbox)),
        *copies.routes(NAME, copies.Copies.__new__(copies.Copies)),
    )
    return specification(TITLE, version("deelname-notifications"), DESCRIPTION, table, channels())


async def start(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """
    Run the service until it is told to stop.

    Raises:
        NotAContinuation: the database is not the one of which the broker was told.
        ValueError: a setting cannot work; the message says which and why.
    """
    prepare()
    clock, links = clock_from(settings.now), settings.links
    renderer = Renderer(sender_address(settings.sender), settings.public_url)
    transport = parse_transport(settings.transport.get_secret_value())
    async with AsyncExitStack() as parts:
        path = settings.data / "notifications.db"
        opening = await parts.enter_async_context(
            Opening(NAME, settings.http_host, settings.http_port, settings.admission)
        )
        restored = await asyncio.to_thread(copies.take_up, path, NAME)
        database = await Database.open(path, store.MIGRATIONS)
        parts.push_async_callback(database.close)
        kept = copies.Copies(path, copies.positions_of({OWN_STREAM: store.LOG}))
        kept.discard_leftovers()
        connection = await opening.waiting_for(connect(**settings.login))
        parts.push_async_callback(connection.close)
        await take_back(connection, database, restored, clock)
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
            links=PersonalLinks(settings.links, renderer.public_url),
            appended=relay.offer,
            limits=settings.limits,
        )
        going_back = await GoingBack(database, clock, store.NEVER_LATER, store.text, sender.time_went_back).begun()
        planner = Planner(database, clock, sender.wake, quiet_until=settings.quiet_until, hold=settings.hold)

        def taken() -> None:
            relay.wake()
            sender.wake()

        mail_reader = MailReader()
        parts.push_async_callback(mail_reader.close)
        inbox = Inbox(
            database,
            reads=mail_reader.read,
            return_paths=return_paths,
            organiser=renderer.sender.mailbox,
            clock=clock,
            appended=taken,
            hold=settings.hold,
            room=settings.room,
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

        async def no_pages() -> str:
            return (
                ""
                if renderer.public_url
                else "DEELNAME_PUBLIC_URL is not set: mails with a personal link cannot be written"
            )

        lmtp = _lmtp(settings.inbox, inbox)

        async def inbox_trouble() -> str:
            return "; ".join(filter(None, (lmtp.trouble if lmtp else "", mail_reader.trouble)))

        under_way = UnderWay(database)

        async def mails_that_stay() -> str:
            return under_way.trouble

        stores, cluster = Stores(connection), Cluster(connection)
        health = Health(
            database,
            relays={OWN_STREAM: relay},
            readers={store.FACTS: reader},
            checks={
                "broker": stores.trouble,
                "transport": transport_trouble,
                "mail_server": sender.reach.trouble,
                "caps": lasting_caps,
                "pages": no_pages,
                "inbox": inbox_trouble,
                "sending": mails_that_stay,
            },
            remarks={"servers": cluster.remark, "unread": inbox.waiting, "inbox_full": inbox.full},
            details={"links": links.description},
            clock=clock,
            service=NAME,
        )
        serve(broker, (*routes(desk, postbox), *copies.routes(NAME, kept)), queue=NAME)
        tasks = {
            "reader": reader.run,
            "sender": sender.run,
            "relay": relay.run,
            "stores": service.periodic(SECONDS_BETWEEN_LOOKS, stores.look),
            "cluster": service.periodic(SECONDS_BETWEEN_LOOKS_AT_SERVERS, cluster.look),
            "forget": service.periodic(_FORGET_EVERY, database.forget),
            "copies": service.periodic(copies.SECONDS_BETWEEN_TIDYING, kept.tidy),
            "archivist": service.periodic(
                _TIDY_EVERY,
                Archivist(database, clock, archive_days=settings.archive_days, inbox_days=settings.inbox_days).tidy,
            ),
            "mail reader": mail_reader.run,
            "going back": service.periodic(SECONDS_BETWEEN_LOOKS_BACK, going_back.look),
            "under way": service.periodic(_LOOK_EVERY, under_way.look),
        }
        if lmtp is not None:
            tasks["inbox"] = lmtp.run
        await service.run(
            application(
                health,
                settings.guard(),
                together(
                    stores.measure,
                    cluster.measure,
                    measure(
                        database,
                        sender,
                        clock,
                        inbox_trouble=inbox_trouble,
                        under_way=under_way,
                        room=settings.room,
                    ),
                ),
            ),
            opening=opening,
            brokers=(broker,),
            tasks=tasks,
            stop=stop,
        )


def _lmtp(listens: str, inbox: Inbox) -> Lmtp | None:
    """Takes mail where DEELNAME_INBOX says, if it does."""
    address = parse_inbox(listens)
    return Lmtp(*address, takes=inbox.takes, opens=inbox.opens) if address is not None else None


async def take_back(connection: Client, database: Database, restored: copies.Restored | None, clock: Clock) -> None:
    """
    Mail nobody twice after an older copy of the database was put in place.

    What the stream of our facts tells of mails is read back: it was sent, or failed. Whatever else was not sent when
    our database was copied may have been sent since, and so may what follows from facts of registration that came
    later: staff see these mails as uncertain and can send them.

    Raises:
        NotAContinuation: the stream tells of mails that cannot be of this database: it would send them again.
    """
    waits = restored is not None
    lacked = as_facts(await beyond(connection, database, store.LOG, OWN_STREAM, restored=waits))
    if restored is None and not lacked:
        return
    told = restored.positions.get("registration", {}).get(store.FACTS, 0) if restored else 0
    head = await last_number(connection, store.FACTS, restored=True) or 0

    def settle(raw: Connection) -> None:
        store.doubt_until(raw, max(told, head))
        store.take_back(raw, lacked)
        store.doubt(raw, clock())

    await database.transact(settle)
    if lacked:
        _log.warning("facts that an older database lacked were read back from the stream", facts=len(lacked))
    if restored is not None:
        restored.finish()

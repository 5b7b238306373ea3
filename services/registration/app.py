"""The wiring table of registration; importing it does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from faststream.nats import NatsBroker

from contracts import commands, queries, subjects
from contracts.base import Message
from contracts.envelope import Envelope
from contracts.facts import FACTS, SERVICES, prepare, variant
from contracts.intake import INTAKE, LARGEST, OUTCOMES
from services.chassis import copies
from services.chassis.access import Verifier
from services.chassis.broker import connect, faststream_broker
from services.chassis.clock import Clock, clock_from
from services.chassis.cluster import SECONDS_BETWEEN_LOOKS as SECONDS_BETWEEN_LOOKS_AT_SERVERS
from services.chassis.cluster import Cluster
from services.chassis.commands import Route, serve
from services.chassis.going_back import SECONDS_BETWEEN_LOOKS as SECONDS_BETWEEN_LOOKS_BACK
from services.chassis.going_back import GoingBack
from services.chassis.guard import Guard
from services.chassis.health import Health
from services.chassis.metrics import Measure, nothing_more, together
from services.chassis.opening import Opening
from services.chassis.relay import Relay
from services.chassis.service import periodic, run
from services.chassis.specification import Channel, specification
from services.chassis.staff import staff_router
from services.chassis.stores import SECONDS_BETWEEN_LOOKS, Stores
from services.chassis.web import application
from services.registration import pages, recovery, store
from services.registration.batch import Batch
from services.registration.contacts import Contacts
from services.registration.deadlines import Deadlines
from services.registration.domain.retention import Terms
from services.registration.handlers import Handlers
from services.registration.handlers.retention import Retention
from services.registration.handlers.strangers import Bounds
from services.registration.known_clock import KnownClock
from services.registration.listening import Listening
from services.registration.settings import Settings
from services.registration.store import moments, strangers
from services.registration.tokens import Tokens
from services.registration.web import router
from services.registration.writer import Writer

NAME = "registration"
TITLE = "Deelname registration"
DESCRIPTION = "Decides which enrolments come true, and says so."
_LOGS = {subjects.log_stream(NAME): store.LOG, subjects.OUTCOMES_STREAM: store.OUTCOMES}
SECONDS_BETWEEN_DEADLINE_CHECKS = 2.0
SECONDS_BETWEEN_LOOKS_AT_THE_CLOCK = 0.1
SECONDS_BETWEEN_FORGETTING = 5.0
SECONDS_BETWEEN_FORGETTING_STRANGERS = 60.0
SECONDS_BETWEEN_LOOKS_AT_TERMS = 5.0
SECONDS_BETWEEN_LOOKS_AT_CONTACTS = 15.0
SECONDS_BETWEEN_ERASURES_OF_CONTACTS = 1.0
SECONDS_BETWEEN_LOOKS_AT_PARTNERS = 2.0
SECONDS_BETWEEN_NOTES_OF_USE = 5.0


def routes(handlers: Handlers) -> list[Route]:
    """Every command and question that registration takes, one a line."""

    def do(entity: str, verb: str) -> str:
        return subjects.command(NAME, entity, verb)

    def ask(entity: str, verb: str) -> str:
        return subjects.query(NAME, entity, verb)

    c, q, h = commands, queries, handlers
    result = commands.EnrolmentResult
    return [
        Route(do("programme", "publish"), c.PublishProgramme, c.Published, h.publish_programme(),
              "Publish a programme, or publish it again with changes.", "organiser"),
        Route(do("programme", "withdraw"), c.WithdrawProgramme, c.Published, h.withdraw_programme(),
              "Cancel a programme with everything in it.", "organiser"),
        Route(do("programme", "close"), c.CloseProgramme, c.Published, h.close_programme(),
              "Let a programme without dates be over, and mail nobody.", "organiser"),
        Route(do("theme", "publish"), c.PublishTheme, c.Published, h.publish_theme(), "Publish a theme."),
        Route(do("organisation", "register"), c.RegisterOrganisations, c.OrganisationsRegistered,
              h.register_organisations(), "Put organisations into the registry, or change them."),
        Route(do("enrolment", "request"), c.RequestEnrolment, result, h.request_enrolment(), "Ask for a place.",
              "organiser"),
        Route(do("enrolment", "withdraw"), c.WithdrawEnrolment, result, h.withdraw_enrolment(), "Give a place back.",
              "organiser"),
        Route(do("enrolment", "confirm"), c.ConfirmEnrolment, result, h.confirm_enrolment(),
              "Vouch for who has yet to confirm.", "organiser"),
        Route(do("enrolment", "promote"), c.PromoteEnrolment, result, h.promote_enrolment(),
              "Give who waits a place by hand.", "organiser"),
        Route(do("participant", "add"), c.AddParticipant, result, h.add_participant(), "Add somebody.", "organiser"),
        Route(do("participant", "change"), c.ChangeParticipant, result, h.change_participant(),
              "Give somebody another seat or role, or the place to somebody else.", "organiser"),
        Route(do("participant", "withdraw"), c.WithdrawParticipant, result, h.withdraw_participant(),
              "Take one person out of an enrolment.", "organiser"),
        Route(do("person", "correct"), c.CorrectPerson, c.PersonResult, h.correct_person(),
              "Correct a name, an address or a language."),
        Route(do("person", "erase"), c.ErasePerson, c.PersonResult, h.erase_person(),
              "Erase everything that says who a person is."),
        Route(ask("programme", "list"), q.Everything, q.ProgrammeList, h.list_programmes(), "All programmes.",
              "viewer"),
        Route(ask("programme", "get"), q.ProgrammeQuestion, q.ProgrammeView, h.get_programme(), "One programme.",
              "organiser"),
        Route(ask("theme", "list"), q.Everything, q.ThemeList, h.list_themes(), "All themes.", "viewer"),
        Route(ask("organisation", "list"), q.Everything, q.OrganisationList, h.list_organisations(), "The registry.",
              "viewer"),
        Route(ask("enrolment", "list"), q.EnrolmentsQuestion, q.EnrolmentList, h.list_enrolments(),
              "The enrolments of a programme.", "organiser"),
        Route(ask("enrolment", "get"), q.EnrolmentQuestion, q.EnrolmentView, h.get_enrolment(),
              "One enrolment with its history and the reason for each step.", "organiser"),
        Route(ask("person", "export"), q.PersonQuestion, q.PersonExport, h.export_person(),
              "Everything that registration keeps about a person."),
        Route(ask("person", "list"), q.AddressQuestion, q.PeopleList, h.list_people(), "Everybody at an address."),
        Route(ask("lunch", "list"), q.ProgrammeQuestion, q.LunchList, h.list_lunches(),
              "The lunches of a programme to come, and what people do not eat.", "organiser"),
        Route(ask("person", "expiring"), q.PeopleExpiringQuestion, q.PeopleExpiring, h.people_expiring(),
              "Who will be erased by itself, and when."),
        Route(ask("log", "read"), q.LogQuestion, q.LogPiece, h.read_log(), "A piece of the log.", "viewer"),
        Route(do("token", "create"), c.CreateToken, c.TokenMade, h.create_token(),
              "Give somebody of the staff, or a program, a token for HTTP."),
        Route(do("token", "revoke"), c.RevokeToken, c.TokenRevocation, h.revoke_token(), "Make a token worthless."),
        Route(ask("token", "list"), q.Everything, q.TokenList, h.list_tokens(), "All tokens there ever were."),
    ]  # fmt: skip


def channels() -> Iterable[Channel]:
    """What registration publishes and takes in without being called."""
    for name, model in FACTS.items():
        if SERVICES[name] == NAME:
            subject = subjects.fact_subject(NAME, name, "{programme}")
            yield Channel(subject, variant(name), _first_line(model, name))
    for name, model in INTAKE.items():
        entity, verb, _version = name.split(".")
        subject = subjects.intake("{source}", entity, verb)
        yield Channel(subject, Envelope[model], f"{_first_line(model, name)} {_SENT}", "receive")  # type: ignore[valid-type]  # known only at run time
    for name, model in OUTCOMES.items():
        subject = subjects.outcome("{source}", "accepted" if "accepted" in name else "refused")
        yield Channel(subject, Envelope[model], f"{_first_line(model, name)} {_READ}")  # type: ignore[valid-type]  # known only at run time


_SENT: Final = (
    "Publish by JetStream and wait for the acknowledgement: from then on it is kept, and will be decided."
    f" At most {LARGEST // 1024} KiB."
)
_READ: Final = (
    f"Not by subscribing to the subject, but from the stream {subjects.OUTCOMES_STREAM} by the durable pull consumer"
    " that has the partner's name. Acknowledge each one: what is not acknowledged within 30 seconds comes again."
    " Outcomes are kept for 30 days. See docs/partners.md."
)


def _first_line(model: type[Message], name: str) -> str:
    return (model.__doc__ or name).strip().splitlines()[0]


def document() -> dict[str, Any]:
    """The AsyncAPI 3 document of registration."""
    # Nothing is called: the table is only read.
    unbound = Handlers.__new__(Handlers)
    table = [*routes(unbound), *copies.routes(NAME, copies.Copies.__new__(copies.Copies))]
    return specification(
        TITLE,
        version("deelname-registration"),
        DESCRIPTION,
        table,
        channels(),
    )


def web(
    writer: Writer,
    clock: Clock,
    bounds: Bounds,
    *,
    health: Health,
    guard: Guard,
    table: Iterable[Route],
    measure: Measure = nothing_more,
) -> FastAPI:
    """The HTTP face: everybody's, and the commands and questions for the staff."""
    face = application(TITLE, version("deelname-registration"), DESCRIPTION, health, guard, measure=measure)
    face.include_router(router(writer, clock, bounds))
    face.include_router(staff_router(table))
    face.include_router(pages.router(writer, clock, bounds))
    return face


async def start(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """
    Run registration until a signal, or ``stop``, ends it.

    Raises:
        NotAContinuation: the database is not the one of which the broker was told.
    """
    async with AsyncExitStack() as parts:
        await _run(settings, stop, parts)


async def _run(settings: Settings, stop: asyncio.Event | None, parts: AsyncExitStack) -> None:
    prepare()
    clock, links = clock_from(settings.now), settings.links
    path = settings.data / "registration.db"
    opening = await parts.enter_async_context(Opening(NAME, settings.http_host, settings.http_port, settings.admission))
    restored = await asyncio.to_thread(copies.take_up, path, NAME)
    database = await store.open_database(path)
    parts.push_async_callback(database.close)
    kept = copies.Copies(path, copies.positions_of(_LOGS))
    kept.discard_leftovers()
    connection = await opening.waiting_for(
        connect(**settings.login, probe=f"$JS.API.STREAM.INFO.{subjects.log_stream(NAME)}")
    )
    parts.push_async_callback(connection.close)
    # Before anything is decided: others may have acted on facts that an older copy of the database lacks.
    await recovery.take_back_facts(connection, database, restored=restored is not None)
    contacts = Contacts(connection, database)
    relay = Relay(connection, database, store.LOG, subjects.log_stream(NAME), before=contacts.copy)

    stores, cluster = Stores(connection), Cluster(connection)
    tokens = Tokens(database)
    await tokens.load()

    def committed(batch: Batch) -> None:
        tokens.committed(batch)
        contacts.know(batch.newcomers, batch.respelt)
        relay.offer(batch.entries)

    writer = Writer(database, committed)
    broker = faststream_broker(**settings.login)
    retention = Retention(
        writer,
        clock,
        Terms(timedelta(days=settings.keep_people_days), timedelta(days=settings.keep_others_days)),
    )
    table = routes(Handlers(writer, clock, retention, settings.confirm_above, relay.told, smtputf8=settings.smtputf8))
    # What copies hold is for the broker's staff alone: the table is served over HTTP as well.
    serve(broker, [*table, *copies.routes(NAME, kept)], NAME)
    guard = settings.guard(Verifier(tokens.find, clock, tokens.used))

    deadlines = Deadlines(writer, database, clock)
    known_clock = await KnownClock.begun(database, clock)
    going_back = await GoingBack(database, clock, moments.NEVER_LATER).begun()

    async def forget_strangers() -> None:
        await database.transact(lambda raw: strangers.forget(raw, clock()))

    tasks = {
        "writer": writer.run,
        "relay": relay.run,
        "stores": periodic(SECONDS_BETWEEN_LOOKS, stores.look),
        "cluster": periodic(SECONDS_BETWEEN_LOOKS_AT_SERVERS, cluster.look),
        "contacts": periodic(SECONDS_BETWEEN_LOOKS_AT_CONTACTS, contacts.look_after),
        "revisions": periodic(SECONDS_BETWEEN_ERASURES_OF_CONTACTS, contacts.revisions.erase),
        "forget": periodic(SECONDS_BETWEEN_FORGETTING, database.forget),
        "retention": periodic(SECONDS_BETWEEN_LOOKS_AT_TERMS, retention.look),
        "tokens": periodic(SECONDS_BETWEEN_NOTES_OF_USE, tokens.note),
        "copies": periodic(copies.SECONDS_BETWEEN_TIDYING, kept.tidy),
        "strangers": periodic(SECONDS_BETWEEN_FORGETTING_STRANGERS, forget_strangers),
        "going back": periodic(SECONDS_BETWEEN_LOOKS_BACK, going_back.look),
        "deadlines": periodic(SECONDS_BETWEEN_DEADLINE_CHECKS, deadlines.look),
        # A wall clock has no settings, and a service at rest does not wake for them.
        **({"clock": periodic(SECONDS_BETWEEN_LOOKS_AT_THE_CLOCK, known_clock.note)} if clock.settings else {}),
    }
    relays = {subjects.log_stream(NAME): relay}
    brokers: list[NatsBroker] = [broker]
    if settings.partners_login is not None:
        partners_connection = await connect(**settings.partners_login, probe="$JS.API.STREAM.NAMES")
        parts.push_async_callback(partners_connection.close)
        await recovery.take_back_outcomes(partners_connection, database, restored=restored is not None)
        listening = Listening(
            settings.partners_login, partners_connection, database, writer, clock, smtputf8=settings.smtputf8
        )
        deadlines.listening = listening
        await listening.begin()
        tasks["outcomes"] = listening.outcomes.run
        tasks["partners"] = periodic(SECONDS_BETWEEN_LOOKS_AT_PARTNERS, listening.look)
        relays[subjects.OUTCOMES_STREAM] = listening.outcomes
        brokers.append(listening.broker)
    if restored is not None:
        # From here on the relays fill the streams, and with them the bucket, from what is here.
        restored.finish()
    health = Health(
        database,
        relays=relays,
        checks={"broker": stores.trouble, "contacts": contacts.revisions.trouble},
        remarks={"servers": cluster.remark},
        details={"links": links.description},
        clock=clock,
        service=NAME,
    )
    await run(
        web(
            writer,
            clock,
            Bounds(links, settings.public_mails_a_source_and_hour, settings.smtputf8),
            health=health,
            guard=guard,
            table=table,
            measure=together(stores.measure, cluster.measure),
        ),
        opening=opening,
        brokers=brokers,
        tasks=tasks,
        before_stop=[writer.finish],
        stop=stop,
    )

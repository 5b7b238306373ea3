"""The wiring: which call goes where. Nothing happens at import."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any, Final

import structlog
from fastapi import FastAPI
from nats.aio.client import Client
from nats.errors import Error as NatsError

from contracts import commands, queries, subjects
from contracts.facts import FACTS, SERVICES, prepare, variant
from contracts.problem import ProblemError
from services.chassis import copies
from services.chassis.access import Verifier
from services.chassis.broker import connect, faststream_broker
from services.chassis.clock import clock_from
from services.chassis.commands import Route, serve
from services.chassis.guard import Guard
from services.chassis.health import Health
from services.chassis.opening import Opening
from services.chassis.reader import Message, Reader
from services.chassis.service import Endless, periodic, run
from services.chassis.specification import Channel, specification
from services.chassis.web import application
from services.reporting.domain.evolution import COUNTED
from services.reporting.handlers import Handlers, Reports, Tokens
from services.reporting.projection import Projection
from services.reporting.rebuild import Rebuild, discard_leftovers
from services.reporting.settings import Settings
from services.reporting.store import STREAMS
from services.reporting.web import router

NAME: Final = "reporting"
TITLE: Final = "Deelname reporting"
DESCRIPTION: Final = "Counts what came of programmes. It reads the logs of registration and notifications."
DATABASE: Final = "reporting.db"
TOKENS: Final = subjects.log_stream("registration")
"""The stream in which tokens are made and revoked."""
SECONDS_BETWEEN_RENEWALS: Final = 5.0

_log = structlog.get_logger("reporting.app")


def routes(handlers: Handlers) -> list[Route]:
    """Every command and question that reporting takes, one a line."""

    def ask(entity: str, verb: str) -> str:
        return subjects.query(NAME, entity, verb)

    c, q, h = commands, queries, handlers
    return [
        Route(ask("programme", "list"), q.Everything, q.ProgrammeReportList, h.list_programmes,
              "All programmes in short."),
        Route(ask("programme", "get"), q.ProgrammeQuestion, q.ProgrammeReport, h.get_programme,
              "One programme: units and people, refusals, organisations, provinces, roles, seats, days, mails."),
        Route(ask("participation", "get"), q.ParticipationQuestion, q.Participation, h.get_participation,
              "Which organisations took part, and which could have and never did."),
        Route(ask("theme", "get"), q.ThemeQuestion, q.ThemeReport, h.get_theme,
              "What a theme has reached, per municipality and goal."),
        Route(ask("token", "uses"), q.Everything, q.TokenUses, h.token_uses,
              "The day on which each account was last let in here, since reporting was started."),
        Route(subjects.command(NAME, "report", "rebuild"), c.RebuildReport, c.RebuiltReport, h.rebuild_report,
              "Fold all facts again into a fresh database and swap it in."),
    ]  # fmt: skip


def channels() -> Iterable[Channel]:
    """The facts that reporting counts; it ignores all others."""
    for name, model in FACTS.items():
        if model in COUNTED:
            subject = subjects.fact_subject(SERVICES[name], name, "{programme}")
            yield Channel(subject, variant(name), (model.__doc__ or name).strip().splitlines()[0], "receive")


def document() -> dict[str, Any]:
    """The AsyncAPI 3 document of reporting."""
    # Nothing is called: the table is only read.
    unbound = Handlers.__new__(Handlers)
    table = [*routes(unbound), *copies.routes(NAME, copies.Copies.__new__(copies.Copies))]
    return specification(
        TITLE,
        version("deelname-reporting"),
        DESCRIPTION,
        table,
        channels(),
    )


def web(reports: Reports, health: Health, guard: Guard | None = None) -> FastAPI:
    """The HTTP face."""
    face = application(TITLE, version("deelname-reporting"), DESCRIPTION, health, guard)
    face.include_router(router(reports))
    return face


def renewal(projection: Projection, rebuild: Rebuild) -> Endless:
    """
    Counts everything anew after an upgrade.

    The last release passed over facts that it had no word for. Its reports are shown until then.
    """

    async def renew() -> None:
        while await projection.counted_by_other_code():
            try:
                await rebuild()
            except (ProblemError, NatsError, TimeoutError) as error:
                _log.warning("what the last release counted is not yet counted anew", reason=str(error))
                await asyncio.sleep(SECONDS_BETWEEN_RENEWALS)
        await asyncio.Event().wait()

    return renew


def readers(connection: Client, projection: Projection) -> dict[str, Reader]:
    """One reader a stream, each with a position of its own."""
    return {stream: _reader(connection, projection, stream) for stream in STREAMS}


def _reader(connection: Client, projection: Projection, stream: str) -> Reader:
    async def position() -> int:
        return await projection.position(stream)

    async def apply(messages: Sequence[Message]) -> None:
        await projection.apply(stream, messages)

    return Reader(connection, stream, position=position, apply=apply)


async def start(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Run the service until it is told to stop."""
    async with AsyncExitStack() as parts:
        await _run(settings, stop, parts)


async def _run(settings: Settings, stop: asyncio.Event | None, parts: AsyncExitStack) -> None:
    prepare()
    path = settings.data / DATABASE
    discard_leftovers(path)
    opening = await parts.enter_async_context(Opening(NAME, settings.http_host, settings.http_port, settings.admission))
    restored = await asyncio.to_thread(copies.take_up, path, NAME)
    projection = await Projection.open(path)
    parts.push_async_callback(projection.close)
    if restored is not None:
        restored.finish()
    kept = copies.Copies(path, copies.positions_of({}))
    kept.discard_leftovers()
    connection = await opening.waiting_for(connect(**settings.login))
    parts.push_async_callback(connection.close)
    broker = faststream_broker(**settings.login)
    following = readers(connection, projection)
    reports = Reports(projection)
    clock = clock_from(settings.now)
    tokens = Tokens(projection)
    revocations, stale_after = following[TOKENS], settings.tokens_stale_after.total_seconds()
    verifier = Verifier(tokens.find, clock, tokens.used, lambda: revocations.unconfirmed > stale_after)
    guard = settings.guard(verifier)
    rebuild = Rebuild(connection, projection)
    serve(broker, [*routes(Handlers(reports, rebuild, tokens)), *copies.routes(NAME, kept)], NAME)
    await run(
        web(reports, Health(projection, readers=following, clock=clock, service=NAME), guard),
        opening=opening,
        brokers=[broker],
        tasks={
            **{f"reader of {stream}": reader.run for stream, reader in following.items()},
            "renewal": renewal(projection, rebuild),
            "copies": periodic(copies.SECONDS_BETWEEN_TIDYING, kept.tidy),
        },
        stop=stop,
    )

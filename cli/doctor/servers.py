"""The broker's servers: who answers of those that should, and whether each has all of what it keeps."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from nats.aio.client import Client

from cli.connection import Connection
from cli.doctor.findings import Report
from cli.output import counted
from contracts.servers import STREAMS_OF_ALL, Behind, Servers, compare, read_answer

_HEALTH_OF_ALL = "$SYS.REQ.SERVER.PING.HEALTHZ"
_STREAMS = {"accounts": True, "streams": True, "config": True}
_ANSWERS_WITHIN, _MORE_ANSWERS_WITHIN = 5.0, 2.0
_LOOKS, _BETWEEN_LOOKS = 4, 0.5
"""A copy that lacks something each time is behind; under load any may lack the newest message for a moment."""
_MOST_NAMED = 5

Said = list[dict[str, Any]]


def ask(connection: Connection) -> tuple[Said, Said]:
    """What each server says of its streams and of its health, having looked whether they are all there."""
    return connection.run(_ask(connection))


async def _ask(connection: Connection) -> tuple[Said, Said]:
    client = await connection.client()
    told = await _all(client, STREAMS_OF_ALL, _STREAMS, None)
    return told, await _all(client, _HEALTH_OF_ALL, {}, len(told)) if told else []


def examine(report: Report, connection: Connection, told: Said) -> None:
    """Name servers that do not answer, streams that nobody answers for, and copies that lag."""
    servers = _compared(told)
    if missing := servers.who_is_missing:
        report.add(
            "broker",
            "broker-server-missing",
            f"{missing}. The others go on while they are more than half, and no other may die now.",
            "Start it again, with an empty store if its disk is lost, and wait until it has everything:"
            " deelname broker streams DIR --wait 120.",
            "a-server-of-the-broker-is-gone",
        )
    if servers.leaderless:
        report.add(
            "broker",
            "streams-without-leader",
            f"no server answers for {', '.join(servers.leaderless)}: nothing is stored there and nothing read.",
            "Start the servers that are missing: more than half of those that keep a stream have to be there.",
            "a-server-of-the-broker-is-gone",
        )
    behind = () if missing else connection.run(_lasting(connection, servers.behind))
    for server in sorted({each.server for each in behind}):
        lacks = [_lack(each) for each in behind if each.server == server]
        more = f" and {len(lacks) - _MOST_NAMED} more" if len(lacks) > _MOST_NAMED else ""
        report.add(
            f"broker {server or 'server without a name'}",
            "copies-behind",
            f"it has not all of {counted(len(lacks), 'stream')}: {', '.join(lacks[:_MOST_NAMED])}{more}.",
            "Leave the other servers running until it has: deelname broker streams DIR --wait 120. If it does not catch"
            " up, look at its log and its disk, and start it again.",
            "a-server-of-the-broker-is-gone",
        )


def _lack(behind: Behind) -> str:
    return f"{behind.stream} ({behind.messages:,} missing)" if behind.messages else behind.stream


async def _lasting(connection: Connection, behind: tuple[Behind, ...]) -> tuple[Behind, ...]:
    """Those that lack something at each of several looks, as the last one tells it."""
    lasting = behind
    for _ in range(_LOOKS):
        if not lasting:
            return ()
        await asyncio.sleep(_BETWEEN_LOOKS)
        again = _compared(await _all(await connection.client(), STREAMS_OF_ALL, _STREAMS, None)).behind
        before = {(each.stream, each.server) for each in lasting}
        lasting = tuple(each for each in again if (each.stream, each.server) in before)
    return lasting


def _compared(told: Said) -> Servers:
    return compare(answer for body in told if (answer := read_answer(body)) is not None)


async def _all(client: Client, subject: str, question: dict[str, bool], expected: int | None) -> Said:
    """What every server answers: until so many did or, where that is not known, as many as they say they are."""
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    await client.publish(subject, json.dumps(question).encode(), reply=inbox)
    found: Said = []
    try:
        while not found or not (len(found) >= expected if expected else _compared(found).complete):
            answer = await answers.next_msg(timeout=_MORE_ANSWERS_WITHIN if found else _ANSWERS_WITHIN)
            if answer.data:
                found.append({**json.loads(answer.data), "asked": time.time()})
            elif not found:
                # Nobody there to answer, or not to us.
                break
    except TimeoutError:
        pass
    finally:
        await answers.unsubscribe()
    return found

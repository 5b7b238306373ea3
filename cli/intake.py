"""``deelname intake``: what another system does, by hand: check messages, send them, read the outcomes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from nats.aio.msg import Msg
from pydantic import ValidationError

from cli.connection import Connection
from cli.desk import Desk, command, group
from cli.failure import REFUSED, UNREACHABLE, Failure
from cli.intake_broker import Reader, publish
from cli.intake_files import IntakeMessage, Verdict, judge, read_messages
from contracts.envelope import Envelope
from contracts.intake import OutcomeAccepted, OutcomeRefused, parse_outcome

app = group("Intake: play another system; check messages against the contract, send them, read the outcomes.")

Outcome = Envelope[OutcomeAccepted] | Envelope[OutcomeRefused]
Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="JSON: one message, a list of them, or one message a line.")
]
Wait = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the next outcome.")]


@command(app, "check", identity="demo", examples=["deelname intake check requests.jsonl"])
def check(desk: Desk, files: Files) -> None:
    """Check messages against the contract, without sending them."""
    verdicts = [judge(message, desk.identity) for message in _messages(files)]
    if desk.output.as_json:
        desk.output.json([_verdict(verdict) for verdict in verdicts])
    for verdict in verdicts:
        where = f"{verdict.message.path}:{verdict.message.line}"
        name = verdict.message.id or "(no id)"
        if not verdict.errors:
            desk.output.say(f"✓ {where} {name}: {verdict.message.type}", "green")
        for error in verdict.errors:
            desk.output.say(f"✗ {where} {name}: {error}", "red")
        for warning in verdict.warnings:
            desk.output.say(f"  note {where} {name}: {warning}", "yellow")
    wrong = sum(1 for verdict in verdicts if verdict.errors)
    if wrong:
        desk.output.note(f"✗ {wrong} of {len(verdicts)} messages would be refused as they stand.", "red")
        raise typer.Exit(REFUSED)


@command(
    app,
    "send",
    identity="demo",
    examples=["deelname intake send requests.jsonl", "deelname intake send requests.jsonl --as biblionet --json"],
)
def send(desk: Desk, files: Files, wait: Wait = 30.0) -> None:
    """
    Send messages as a partner and wait for their outcomes.

    While servers of the broker elect a leader, or are started again one by one, it waits and sends again for up to a
    minute: a message with an id is never decided twice.
    """
    messages = _messages(files)
    with desk.connect() as connection, desk.output.progress() as progress:
        sending = progress.add_task("Sending", total=len(messages))
        answering = progress.add_task("Outcomes", total=len(messages))
        outcomes = connection.run(
            _exchange(
                connection,
                desk.identity,
                messages,
                wait,
                sent=lambda: progress.advance(sending),
                answered=lambda: progress.advance(answering),
                say=lambda words: desk.output.note(f"  {words}", "yellow"),
            )
        )
    refused = unanswered = 0
    for message, outcome in zip(messages, outcomes, strict=True):
        refused += outcome is not None and isinstance(outcome.data, OutcomeRefused)
        unanswered += outcome is None
        _show(desk, message.id or f"{message.path}:{message.line}", outcome)
    if desk.output.as_json:
        desk.output.json(
            [
                {"file": str(m.path), "line": m.line, "id": m.id, "outcome": o.model_dump(mode="json") if o else None}
                for m, o in zip(messages, outcomes, strict=True)
            ]
        )
    if unanswered:
        raise Failure(
            f"{unanswered} of {len(messages)} messages have no outcome after {wait:g} seconds.",
            "They are kept and will be decided; 'deelname intake outcomes' shows the answers when they come.",
            code=UNREACHABLE,
        )
    if refused:
        raise typer.Exit(REFUSED)


@command(app, "outcomes", identity="demo", examples=["deelname intake outcomes", "deelname intake outcomes --wait 10"])
def outcomes_(
    desk: Desk,
    wait: Wait = 1.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave them for the partner's own program to read.")] = False,
) -> None:
    """Read the outcomes that nobody has read yet; each is given once."""
    found: list[Outcome] = []
    with desk.connect() as connection:

        async def collect() -> None:
            reader = Reader(connection, desk.identity, lambda words: desk.output.note(f"  {words}", "yellow"))
            unread: list[Msg] = []
            deadline = time.monotonic() + wait
            while (left := deadline - time.monotonic()) > 0:
                for message in await reader.fetch(min(left, 1.0)):
                    found.append(_parsed(message))
                    if keep:
                        unread.append(message)
                    else:
                        await reader.acknowledge(message)
            await reader.give_back(unread)

        connection.run(collect())
    if desk.output.as_json:
        desk.output.json([outcome.model_dump(mode="json") for outcome in found])
        return
    for outcome in found:
        _show(desk, outcome.data.request or f"message {getattr(outcome.data, 'sequence', '?')}", outcome)
    if not found:
        desk.output.say("No outcome is waiting.", "dim")


def _messages(files: Sequence[Path]) -> list[IntakeMessage]:
    messages = [message for file in files for message in read_messages(file)]
    if not messages:
        raise Failure("There is no message in these files.", "Give a file with JSON messages.", code=REFUSED)
    return messages


async def _exchange(
    connection: Connection,
    source: str,
    messages: list[IntakeMessage],
    wait: float,
    *,
    sent: Callable[[], None],
    answered: Callable[[], None],
    say: Callable[[str], None],
) -> list[Outcome | None]:
    """Send all, and match the outcomes that come: by the number in the stream where it is told, else by the id."""
    outcomes: list[Outcome | None] = [None] * len(messages)
    by_number: dict[int, int] = {}
    by_id: dict[str, list[int]] = defaultdict(list)
    reader = Reader(connection, source, say)
    for index, message in enumerate(messages):
        number = await publish(connection, message.subject(source), message.text.encode(), source, say)
        by_number[number] = index
        if message.id:
            by_id[message.id].append(index)
        sent()
    others: list[Msg] = []
    deadline = time.monotonic() + wait
    while None in outcomes and (left := deadline - time.monotonic()) > 0:
        for answer in await reader.fetch(min(left, 1.0)):
            found = _match(answer, outcomes, by_number, by_id)
            if found is None:
                others.append(answer)
                continue
            outcomes[found] = parse_outcome(answer.data)
            await reader.acknowledge(answer)
            answered()
            deadline = time.monotonic() + wait
    # Answers to somebody else's messages of this partner: given back for whoever waits for them.
    await reader.give_back(others)
    return outcomes


def _match(
    answer: Msg, outcomes: list[Outcome | None], by_number: dict[int, int], by_id: dict[str, list[int]]
) -> int | None:
    try:
        data = parse_outcome(answer.data).data
    except ValidationError:
        return None
    if isinstance(data, OutcomeRefused) and data.sequence in by_number:
        return by_number[data.sequence]
    waiting = [index for index in by_id.get(data.request or "", ()) if outcomes[index] is None]
    return waiting[0] if waiting and not isinstance(data, OutcomeRefused) else None


def _parsed(message: Msg) -> Outcome:
    try:
        return parse_outcome(message.data)
    except ValidationError:
        raise Failure(
            f"An outcome on {message.subject} is not what this version of deelname expects.",
            "Use the same version of the tool and of the services.",
        ) from None


def _show(desk: Desk, name: str, outcome: Outcome | None) -> None:
    output = desk.output
    if outcome is None:
        output.say(f"… {name}: no outcome yet", "yellow")
    elif isinstance(outcome.data, OutcomeAccepted):
        accepted = outcome.data
        place = f", number {accepted.place} in the waiting list" if accepted.place else ""
        lacks = f", still lacks {', '.join(m.seat for m in accepted.missing)}" if accepted.missing else ""
        output.say(f"✓ {name}: {accepted.status}{place}{lacks} ({accepted.enrolment})", "green")
    else:
        output.say(f"✗ {name}: refused ({outcome.data.problem.rpartition(':')[2]})", "red")
        for fault in outcome.data.errors:
            output.say(f"    • {output.fault(fault)}")


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "file": str(verdict.message.path),
        "line": verdict.message.line,
        "id": verdict.message.id,
        "valid": not verdict.errors,
        "errors": verdict.errors,
        "warnings": verdict.warnings,
    }

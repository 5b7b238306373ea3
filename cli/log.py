"""``deelname log``: the facts themselves, as they stand and as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import typer

from cli.desk import Desk, command, group
from cli.output import moment
from contracts import subjects
from contracts.base import Language
from contracts.queries import LogPiece, LogQuestion

app = group("The log of facts, from which everything else follows.")

_PIECE = 1000
_LOOK_EVERY = 0.5
Programme = Annotated[str | None, typer.Option(help="Only facts about this programme.")]


@command(
    app, "show", examples=["deelname log show --programme gezinsaanpak-2023", "deelname log show --after 100 --json"]
)
def show(
    desk: Desk,
    programme: Programme = None,
    after: Annotated[int, typer.Option(min=0, help="Only facts after this position.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many. Default: all.")] = None,
) -> None:
    """The facts in their order."""
    facts: list[dict[str, object]] = []
    actors: dict[str, str] = {}
    with desk.connect() as connection:
        while limit is None or len(facts) < limit:
            wanted = _PIECE if limit is None else min(_PIECE, limit - len(facts))
            question = LogQuestion(after=after, limit=wanted, programme=programme)
            piece = connection.ask("registration", "log", "read", question, LogPiece)
            if not piece.facts:
                break
            facts += piece.facts
            actors |= piece.actors
            after = _position(piece.facts[-1])
    if desk.output.as_json:
        desk.output.json(facts)
        return
    desk.output.table(
        f"Facts ({len(facts)})",
        ["Position", "When", "Programme", "Version", "What", "About", "By"],
        [
            (
                _position(f),
                _when(f, desk.language),
                f.get("subject"),
                f.get("version", ""),
                f.get("type"),
                about(f),
                by(f, actors),
            )
            for f in facts
        ],
        empty="No facts.",
    )


@command(app, "tail", examples=["deelname log tail", "deelname log tail --programme gezinsaanpak-2023 --json"])
def tail(
    desk: Desk,
    programme: Programme = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Start with so many of the last facts.")] = 10,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many facts. Default: never.")] = None,
) -> None:
    """Facts as they come true, until Ctrl-C; with --json one document a line."""
    wanted = LogQuestion(limit=_PIECE, programme=programme)
    with desk.connect() as connection:

        async def follow() -> None:
            subject = subjects.query("registration", "log", "read")
            head = (await connection.request(subject, LogQuestion(limit=1), LogPiece)).head
            after, shown = max(head - lines, 0), 0
            while True:
                question = wanted.model_copy(update={"after": after})
                piece = await connection.request(subject, question, LogPiece)
                for fact in piece.facts:
                    after = _position(fact)
                    _line(desk, fact)
                    shown += 1
                    if shown == count:
                        return
                if not piece.facts:
                    await asyncio.sleep(_LOOK_EVERY)

        connection.run(follow())


def about(fact: Mapping[str, object]) -> str:
    """What a fact is about, in a few words."""
    data = fact.get("data")
    if not isinstance(data, Mapping):
        return ""
    words: list[str] = []
    for key in ("enrolment", "session", "person", "mail", "organisation"):
        if isinstance(value := data.get(key), str):
            words.append(f"{key} {value}")
    if isinstance(reason := data.get("reason"), Mapping) and "rule" in reason:
        words.append(f"because {reason['rule']}")
    if isinstance(cause := data.get("cause"), str):
        words.append(f"because {cause}")
    if isinstance(verdict := data.get("verdict"), str):
        words.append(f"verdict {verdict}")
    if isinstance(reasons := data.get("reasons"), list | tuple):
        words.append("because " + ", ".join(str(r["rule"]) for r in reasons if isinstance(r, Mapping)))
    return ", ".join(words)


def by(fact: Mapping[str, object], actors: Mapping[str, str]) -> str:
    """Who of the staff caused it, by the name of the account where registration knows one."""
    actor = fact.get("actor")
    if not isinstance(actor, str):
        return ""
    return f"{actor.partition(':')[0]} {actors[actor]}" if actor in actors else actor.replace(":", " ", 1)


def _line(desk: Desk, fact: Mapping[str, object]) -> None:
    if desk.output.as_json:
        desk.output.json_line(fact)
    else:
        programme = fact.get("subject") or "_"
        desk.output.say(
            f"{_position(fact):>7}  {_when(fact, desk.language)}  {programme}  {fact.get('type')}  {about(fact)}"
        )


def _position(fact: Mapping[str, object]) -> int:
    position = fact.get("position")
    return position if isinstance(position, int) else 0


def _when(fact: Mapping[str, object], language: Language) -> str:
    time = fact.get("time")
    return moment(datetime.fromisoformat(time), language) if isinstance(time, str) else "–"

"""What a change of a programme brings about: asked before it is made where that is wanted, and said in words."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.connection import Connection
from cli.desk import Desk
from cli.output import counted
from contracts.commands import Published, TellingCommand
from contracts.problem import ProblemError, problem_type

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would happen and who would be mailed; change nothing.")
]


def told(desk: Desk, connection: Connection, verb: str, command: TellingCommand, yes: bool) -> Published:
    """Send what may mail people; ask whether it should where the service wants to know."""
    try:
        asked = command.model_copy(update={"confirmed": yes})
        return connection.do("registration", "programme", verb, asked, Published)
    except ProblemError as error:
        if error.problem.type != problem_type("needs-confirmation"):
            raise
        for fault in error.problem.errors:
            desk.output.note(f"  {desk.output.fault(fault.model_copy(update={'rule': None}))}")
        desk.confirm(f"{(error.problem.detail or error.problem.title).partition('. ')[0]}. Go on?", yes)
    return connection.do("registration", "programme", verb, command.model_copy(update={"confirmed": True}), Published)


def say(desk: Desk, result: Published, nothing: str) -> None:
    """What came true, or would, in words, and what else to know."""
    if result.dry_run:
        desk.output.say(f"{result.id}: {'this would happen' if result.changes else nothing}", "bold")
    else:
        desk.output.say(f"✓ {result.id}: {'done' if result.facts else nothing}")
    for change in result.changes:
        desk.output.say(f"  {getattr(change, desk.language)}")
    if result.dry_run:
        for question in result.questions:
            desk.output.say(f"  asks first: {getattr(question, desk.language)}", "yellow")
        told = f"In all, {counted(result.people, 'person', 'people')}" if result.people else "Nobody"
        desk.output.say(f"  Nothing was changed. {told} would be mailed.")
    for note in result.notes:
        desk.output.note(f"  note: {getattr(note, desk.language)}", "yellow")

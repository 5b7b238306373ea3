"""``deelname``: the command-line tool."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli import (
    backup,
    broker,
    doctor,
    enrolment,
    intake,
    log,
    mail,
    organisation,
    partner,
    person,
    private,
    programme,
    report,
    system,
    theme,
    token,
)
from contracts.characters import visible

_SETTING_UP = "Setting up"
_RUNNING = "Running programmes"
_LOOKING = "Looking after"
_OPERATING = "Operating a deployment"


class _Tool(TyperGroup):
    """Says what is wrong with a command line without obeying what stands in it: names of files are anybody's."""

    def make_context(self, *given: Any, **named: Any) -> Any:
        """Read the command line."""
        with _said_visibly():
            return super().make_context(*given, **named)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _said_visibly():
            return super().invoke(ctx)


@contextmanager
def _said_visibly() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if (say := getattr(error, "format_message", None)) is not None:
            said = visible(say())
            error.format_message = lambda: said  # type: ignore[attr-defined]  # a complaint about the usage
        raise


class _Visibly(logging.Formatter):
    """Lines of libraries' logs, which may quote what somebody sent."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


app = typer.Typer(
    name="deelname",
    cls=_Tool,
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Enrolment, mail and reporting for the programmes of library-support organisations.",
    epilog=(
        "[bold]A first walk[/]\n\n"
        "  $ deelname demo                                  see it all at work\n\n"
        "  $ deelname up                                    start it empty\n\n"
        "  $ deelname organisation load organisations.csv\n\n"
        "  $ deelname programme publish programme.yaml\n\n"
        "  $ deelname intake send requests.jsonl\n\n"
        "  $ deelname report programmes\n\n"
        "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 nobody answers."
    ),
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"deelname {importlib.metadata.version('deelname')}")
        raise typer.Exit


@app.callback()
def _deelname(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Enrolment, mail and reporting for the programmes of library-support organisations."""


system.register(app)
app.add_typer(programme.app, name="programme", rich_help_panel=_SETTING_UP)
app.add_typer(theme.app, name="theme", rich_help_panel=_SETTING_UP)
app.add_typer(organisation.app, name="organisation", rich_help_panel=_SETTING_UP)
app.add_typer(enrolment.app, name="enrolment", rich_help_panel=_RUNNING)
app.add_typer(intake.app, name="intake", rich_help_panel=_RUNNING)
app.add_typer(mail.app, name="mail", rich_help_panel=_RUNNING)
app.add_typer(report.app, name="report", rich_help_panel=_LOOKING)
app.add_typer(log.app, name="log", rich_help_panel=_LOOKING)
app.add_typer(person.app, name="person", rich_help_panel=_LOOKING)
backup.register(app, _OPERATING)
doctor.register(app, _OPERATING)
app.add_typer(broker.app, name="broker", rich_help_panel=_OPERATING)
app.add_typer(partner.app, name="partner", rich_help_panel=_OPERATING)
app.add_typer(token.app, name="token", rich_help_panel=_OPERATING)


def main() -> None:
    """Run the tool."""
    private.begin()
    if logging.lastResort:
        logging.lastResort.setFormatter(_Visibly())
    try:
        app(prog_name="deelname")
    except Exception:
        sys.stderr.write(visible(traceback.format_exc()))
        sys.stderr.write("This is a fault of the tool. Please report it with the lines above.\n")
        sys.exit(1)


if __name__ == "__main__":
    main()

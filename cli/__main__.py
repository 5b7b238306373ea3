"""``deelname``: the command-line tool."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

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
    programme,
    report,
    system,
    theme,
    token,
)

_SETTING_UP = "Setting up"
_RUNNING = "Running programmes"
_LOOKING = "Looking after"
_OPERATING = "Operating a deployment"

app = typer.Typer(
    name="deelname",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=True,
    pretty_exceptions_show_locals=False,
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
    app(prog_name="deelname")


if __name__ == "__main__":
    main()

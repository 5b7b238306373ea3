"""What every command stands on: the options that all have, the connection they ask for, and how they end in failure."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Concatenate, NoReturn, ParamSpec, cast

import typer
from pydantic import ValidationError

from cli.connection import Connection
from cli.endpoints import Endpoints, find
from cli.failure import REFUSED, USAGE, Failure
from cli.output import Output
from contracts.base import Language
from contracts.characters import visible
from contracts.problem import ProblemError, complaint, invalid, problem_type, without_echoes

Parameters = ParamSpec("Parameters")

_PANEL = "Connection and output"


class Speech(StrEnum):
    """The languages that the services answer in."""

    NL = "nl"
    EN = "en"


_AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON and nothing else on standard output.", rich_help_panel=_PANEL)
]
_Language = Annotated[
    Speech | None,
    typer.Option(
        help="Language of titles, dates and refusals. Default: as LANG says, else en.", rich_help_panel=_PANEL
    ),
]
_Endpoints = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="endpoints.json of a running system. Default: what DEELNAME_ENDPOINTS or DEELNAME_NATS_URL says, "
        "else ./data/endpoints.json or ./demo-data/endpoints.json.",
        rich_help_panel=_PANEL,
    ),
]
_Identity = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Whose access to use. Default: {identity}.", rich_help_panel=_PANEL),
]


class Desk:
    """What a command works with."""

    def __init__(self, output: Output, endpoints: Path | None, identity: str) -> None:
        self.output = output
        self.identity = identity
        self._chosen = endpoints

    @property
    def language(self) -> Language:
        """The language of titles, dates and refusals."""
        return self.output.language

    @functools.cached_property
    def endpoints(self) -> Endpoints:
        """Where the system is; raises Failure where none is known."""
        return find(self._chosen, self.identity)

    def connect(self) -> Connection:
        """The connection as the chosen identity, to be used in a ``with``."""
        return Connection(self.endpoints.access(self.identity))

    def confirm(self, question: str, yes: bool) -> None:
        """
        Ask before something that can't be taken back.

        Raises:
            Failure: nobody can answer.
        """
        if yes:
            return
        if not sys.stdin.isatty():
            raise Failure(f"{question} Nobody is here to answer.", "Add --yes to say so beforehand.", code=USAGE)
        typer.confirm(visible(question), abort=True, err=True)


def command(
    group: typer.Typer, name: str, *, examples: Sequence[str] = (), identity: str = "staff", panel: str | None = None
) -> Callable[[Callable[Concatenate[Desk, Parameters], None]], Callable[Concatenate[Desk, Parameters], None]]:
    """
    Register a command that gets a :class:`Desk` and its own parameters.

    It gains ``--json``, ``--language``, ``--endpoints`` and ``--as``; a Failure or a service's problem details end it
    with a helpful message and the exit code.
    """

    def register(
        function: Callable[Concatenate[Desk, Parameters], None],
    ) -> Callable[Concatenate[Desk, Parameters], None]:
        @functools.wraps(function)
        def run(**given: Any) -> None:
            output = Output(as_json=given.pop("as_json"), language=_spoken(given.pop("language")))
            desk = Desk(output, given.pop("endpoints"), given.pop("as_identity") or identity)
            try:
                cast("Callable[..., None]", function)(desk, **given)
            except ProblemError as error:
                if output.as_json:
                    output.json(error.problem)
                output.problem(error.problem)
                if error.problem.type == problem_type("ambiguous"):
                    output.next("deelname person list ADDRESS")
                raise typer.Exit(REFUSED) from None
            except Failure as failure:
                _end(output, failure)
            except ValidationError as error:
                # What a service answers is read in ``Connection``: this is what was typed.
                _end(output, _mistyped(error))

        own = inspect.signature(function, eval_str=True).parameters
        common = {
            "as_json": (_AsJson, False),
            "language": (_Language, None),
            "endpoints": (_Endpoints, None),
            "as_identity": (_named(identity), None),
        }
        parameters = list(own.values())[1:] + [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for key, (annotation, default) in common.items()
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        epilog = "[bold]Examples[/]\n\n" + "\n\n".join(f"  $ {example}" for example in examples) if examples else None
        group.command(name, epilog=epilog, no_args_is_help=_wants_arguments(parameters), rich_help_panel=panel)(run)
        return function

    return register


def _end(output: Output, failure: Failure) -> NoReturn:
    if output.as_json:
        output.json(failure.problem)
    output.note(f"✗ {failure.what}", "red")
    if failure.remedy:
        output.note(f"  {failure.remedy}", "")
    raise typer.Exit(failure.code) from None


def _mistyped(error: ValidationError) -> Failure:
    """A command or question that the contract does not allow, because of what stood on the command line."""
    lines = []
    for item in without_echoes(error.errors(include_url=False)):
        field = ".".join(str(part) for part in item["loc"])
        given = f"'{item['input']}'" if isinstance(item["input"], str) else ""
        about = " ".join(filter(None, (field, given)))
        lines.append(f"{about}{': ' if about else ''}{complaint(item)}.")
    return Failure("\n  ".join(lines), code=USAGE, problem=invalid(error, "command"))


def group(help_: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(help=help_, no_args_is_help=True, rich_markup_mode="rich")


def _named(identity: str) -> Any:
    option = _Identity.__metadata__[0]  # type: ignore[attr-defined]  # Annotated keeps its metadata there
    return Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", help=option.help.format(identity=identity), rich_help_panel=option.rich_help_panel
        ),
    ]


def _wants_arguments(parameters: Sequence[inspect.Parameter]) -> bool:
    return any(
        parameter.default is inspect.Parameter.empty and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        for parameter in parameters
    )


def _spoken(chosen: Speech | None) -> Language:
    if chosen:
        return chosen.value
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable):
            return "nl" if value.lower().startswith("nl") else "en"
    return "en"

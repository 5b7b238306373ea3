"""``deelname token``: what staff and programs show to be let in over HTTP."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from cli import private
from cli.desk import Desk, command, group
from cli.failure import USAGE, Failure
from cli.output import moment
from contracts import dates
from contracts.access import ROLES, Role
from contracts.base import Language
from contracts.commands import CreateToken, RevokeToken, TokenMade, TokenRevocation
from contracts.moments import start_of
from contracts.problem import ProblemError
from contracts.queries import Everything, TokenList, TokenUses, TokenView

app = group("Tokens, with which staff and programs are let in over HTTP: make one, list them, make one worthless.")

_Name = Annotated[str, typer.Option(help="What it is called; nobody else sees that. It ends when it is revoked.")]


@command(
    app,
    "create",
    examples=[
        "deelname token create --name dashboard --role viewer",
        "deelname token create --name dashboard --header-file dashboard.header",
        "deelname token create --name zeist --role organiser --organiser bibliotheek-zeist --expires 2027-01-01",
    ],
)
def create(
    desk: Desk,
    *,
    name: _Name,
    role: Annotated[str, typer.Option(help=f"What it may: one of {', '.join(ROLES)}.")] = "viewer",
    organiser: Annotated[
        list[str] | None, typer.Option(help="An organisation whose programmes an organiser leads; repeat it.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DAY", help="The first day on which it is worth nothing.")
    ] = None,
    header_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it there, as curl's --header @FILE reads it, and show it nowhere."),
    ] = None,
) -> None:
    """
    Make a token. It is shown this once: nobody can look it up again.

    On a command line everybody on the machine could see it: programs read it from a file that is yours alone.
    """
    asked = CreateToken(
        name=name,
        role=_role(role, organiser),
        organisations=tuple(organiser or ()),
        expires=_day(expires) if expires else None,
    )
    if header_file is None:
        made = _create(desk, asked)
    else:
        # Before it is made: nobody could look up one that was made and not written.
        with _new(header_file) as file:
            made = _create(desk, asked)
            file.write(header(made.token).encode())
    if desk.output.as_json:
        desk.output.json(made if header_file is None else made.model_dump(mode="json", exclude={"token"}))
        return
    address, may = desk.endpoints.http.get("reporting"), f"✓ {made.name} may as {made.role}, from now on,"
    if header_file is not None:
        desk.output.say(f"{may} with the token in {header_file}.", "green")
    else:
        desk.output.say(f"{may} with this token; it is not shown again:", "green")
        desk.output.say(made.token)
        if address:
            desk.output.note(f"In a browser: {address}/ asks for a name (any) and a password (the token).")
    if address:
        # Never the token itself: command lines are seen by others, and kept in histories.
        desk.output.next(f"curl --header @{shlex.quote(str(header_file or 'FILE'))} {address}/api/programmes")
    if header_file is None:
        desk.output.note("FILE holds 'Authorization: Bearer ' and the token; --header-file FILE writes it.")


def header(token: str) -> str:
    """What a file holds that ``curl --header @FILE`` reads."""
    return f"Authorization: Bearer {token}\n"


def _create(desk: Desk, asked: CreateToken) -> TokenMade:
    with desk.connect() as connection:
        return connection.do("registration", "token", "create", asked, TokenMade)


@contextlib.contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A new file of ours alone, which is gone again where what follows fails."""
    try:
        file = private.new(path)
    except OSError as error:
        why = f"{path} cannot be made: {error.strerror}."
        raise Failure(why, "Name a file that is not there.", code=USAGE) from None
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@command(app, "list", examples=["deelname token list", "deelname token list --json"])
def list_(desk: Desk) -> None:
    """Every token there ever was, and the day on which it was last used."""
    with desk.connect() as connection:
        listed = connection.ask("registration", "token", "list", Everything(), TokenList).tokens
        try:
            uses = connection.ask("reporting", "token", "uses", Everything(), TokenUses).uses
        except (Failure, ProblemError):
            uses = {}
            desk.output.note("reporting does not answer: the days are those at registration alone")
    tokens = [token.model_copy(update={"used": _later(token.used, uses.get(token.account))}) for token in listed]
    if desk.output.as_json:
        desk.output.json(TokenList(tokens=tuple(tokens)))
        return
    desk.output.table(
        f"Tokens ({len(tokens)})",
        ["Name", "Role", "Organisations", "Made", "Last used", "Until", "Account"],
        [
            (token.name, token.role, ", ".join(token.organisations), token.created, token.used,
             _until(token, desk.language), token.account)
            for token in tokens
        ],
        empty="There are no tokens.",
    )  # fmt: skip


@command(app, "revoke", examples=["deelname token revoke dashboard"])
def revoke(
    desk: Desk,
    token: Annotated[str, typer.Argument(metavar="NAME", help="Its name, or its account.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Make a token worthless. Facts that it caused keep its account."""
    desk.confirm(f"Let the token {token} be worth nothing?", yes)
    with desk.connect() as connection:
        listed = connection.ask("registration", "token", "list", Everything(), TokenList).tokens
        accounts = {one.account for one in listed}
        asked = RevokeToken(account=token) if token in accounts else RevokeToken(name=token)
        revoked = connection.do("registration", "token", "revoke", asked, TokenRevocation)
    if desk.output.as_json:
        desk.output.json(revoked)
        return
    if revoked.told is False:
        desk.output.say(f"! The token {revoked.name} is revoked, and reporting does not know it yet.", "yellow")
        desk.output.say(revoked.detail or "")
        return
    desk.output.say(f"✓ The token {revoked.name} is worth nothing now.", "green")


def _role(text: str, organisations: list[str] | None) -> Role:
    role = next((one for one in ROLES if one == text), None)
    if role is None:
        raise Failure(f"'{text}' is no role.", f"Choose one of: {', '.join(ROLES)}.", code=USAGE)
    if (role == "organiser") != bool(organisations):
        raise Failure(
            "An organiser leads the programmes of organisations, and nobody else has any.",
            "Give --role organiser together with --organiser ID.",
            code=USAGE,
        )
    return role


def _day(text: str) -> datetime:
    try:
        return start_of(date.fromisoformat(text))
    except ValueError:
        raise Failure(f"'{text}' is no day.", "Write it as 2027-01-31.", code=USAGE) from None


def _later(first: date | None, second: date | None) -> date | None:
    return max((day for day in (first, second) if day is not None), default=None)


def _until(token: TokenView, language: Language) -> str:
    if token.revoked:
        return f"revoked {moment(token.revoked, language)}"
    return dates.ending(token.expires, language) if token.expires else "it is revoked"

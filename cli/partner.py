"""``deelname partner``: systems that send requests come, get a new key, and go."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cli import deployment
from cli.desk import Desk, command, group
from cli.failure import REFUSED, Failure

Result = TypeVar("Result")

app = group("Systems that send requests: let one in, give it a new key, shut it out. No service is restarted.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Lower-case words joined by hyphens.")]
_Directory = Annotated[
    Path,
    typer.Option(
        "--deployment",
        metavar="DIR",
        envvar="DEELNAME_DEPLOYMENT",
        help="The directory that 'deelname broker configure' wrote.",
    ),
]
_PublicKey = Annotated[
    str | None,
    typer.Option(metavar="U…", help="The partner's own public nkey: then no secret of it is ever here."),
]
_HERE = Path("production")


@command(
    app,
    "add",
    examples=["deelname partner add biblionet", "deelname partner add schoolweb --public-key UD4…"],
)
def add(desk: Desk, name: _Name, *, directory: _Directory = _HERE, public_key: _PublicKey = None) -> None:
    """Let a partner in: its key, its account and streams, one reload of the broker."""
    partners, place = _modules(desk, directory)
    _hand_over(desk, name, _run(partners.add(place, name, public_key)), "is in", public_key)


@command(app, "rotate", examples=["deelname partner rotate biblionet"])
def rotate(desk: Desk, name: _Name, *, directory: _Directory = _HERE, public_key: _PublicKey = None) -> None:
    """Give a partner a new key; the old one is worth nothing from now on, and who came in with it is cut off."""
    partners, place = _modules(desk, directory)
    _hand_over(desk, name, _run(partners.rotate(place, name, public_key)), "has a new key", public_key)


@command(app, "remove", examples=["deelname partner remove biblionet --yes"])
def remove(
    desk: Desk,
    name: _Name,
    *,
    directory: _Directory = _HERE,
    force: Annotated[bool, typer.Option("--force", help="Also when requests wait; they are lost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Shut a partner out. Refused while requests of it wait; its answers are kept as long as anybody's."""
    partners, place = _modules(desk, directory)
    desk.confirm(f"Shut {name} out?", yes)
    _run(partners.remove(place, name, force=force))
    if desk.output.as_json:
        desk.output.json({"partner": name, "removed": True})
    desk.output.say(f"{name} is shut out.", "bold green")


@command(app, "list", examples=["deelname partner list", "deelname partner list --json"])
def list_(desk: Desk, *, directory: _Directory = _HERE) -> None:
    """Each partner, with the requests and answers of it that wait."""
    partners, place = _modules(desk, directory)
    found = _run(partners.waiting(place))
    if desk.output.as_json:
        desk.output.json(found)
        return
    desk.output.table(
        "",
        ["Partner", "Requests waiting", "Answers not fetched"],
        [(one.name, one.requests, one.answers) for one in found],
        empty="There are no partners.",
    )


def _hand_over(desk: Desk, name: str, folder: Path, what: str, public_key: str | None) -> None:
    taking_part = deployment.module("deploy.endpoints").taking_part(name)
    if desk.output.as_json:
        desk.output.json({"partner": name, "folder": str(folder), **taking_part})
        return
    desk.output.say(f"{name} {what}.", "bold green")
    sends, hears = taking_part["intake"], taking_part["outcomes"]
    desk.output.say(f"It sends on {', '.join(sends['subjects'])}.")
    desk.output.say(
        f"It is answered in the stream {hears['stream']}, which it reads by its consumer {hears['consumer']}."
        " docs/partners.md says how."
    )
    if public_key is None:
        desk.output.say(f"Hand over {folder}: its seed, the authority, the address. Then delete its seed there.")
    else:
        desk.output.say(f"Hand over {folder}: the authority and the address. The seed is with {name} alone.")


def _modules(desk: Desk, directory: Path) -> tuple[Any, Any]:
    partners = deployment.module("deploy.production.partners")
    place = deployment.module("deploy.production.directory").Directory(directory)
    if not place.description.exists():
        raise Failure(f"{place.path} holds no deployment.", _instead(desk), code=REFUSED)
    return partners, place


def _instead(desk: Desk) -> str:
    """What whoever named no deployment may have meant: the system on this machine has its partners from its start."""
    elsewhere = "Name its directory with --deployment DIR; 'deelname broker configure DIR' writes one."
    try:
        endpoints = desk.endpoints
    except Failure:
        return elsewhere
    if endpoints.process is None:
        return elsewhere
    start = "".join(f" --partner {name}" for name in endpoints.partners)
    return (
        f"The system of {endpoints.origin} was started by 'deelname up', where partners are named at the start:"
        f" 'deelname up{start} --partner NAME'. Of a deployment: {elsewhere[0].lower()}{elsewhere[1:]}"
    )


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    with deployment.failures():
        return asyncio.run(work)

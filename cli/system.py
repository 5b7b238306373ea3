"""``deelname up`` and ``deelname demo``: the whole system on this machine."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import deployment
from cli.desk import Desk, command
from cli.endpoints import held, refuse_password
from cli.failure import REFUSED, USAGE, Failure
from cli.reading import SMALL, typed_or_octets

PanelName = "The system on this machine"
_LOOK_EVERY = 0.1
PortBase = Annotated[
    int, typer.Option(min=1024, max=65000, metavar="N", help="The first of five neighbouring ports on loopback.")
]


def register(app: typer.Typer) -> None:
    """Add ``up``, ``down`` and ``demo``."""
    command(
        app,
        "up",
        panel=PanelName,
        examples=["deelname up", "deelname up --data /srv/deelname --partner biblionet --partner schoolweb"],
    )(up)
    command(
        app, "down", panel=PanelName, examples=["deelname down", "deelname down --endpoints bigger/endpoints.json"]
    )(down)
    command(app, "demo", panel=PanelName, examples=["deelname demo", "deelname demo --once"])(demo)


def up(
    desk: Desk,
    *,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where all state goes; created when absent.")] = Path(
        "data"
    ),
    port_base: PortBase = 4600,
    partner: Annotated[list[str] | None, typer.Option(help="Who may send requests; repeat it. Default: demo.")] = None,
    now: Annotated[
        str | None,
        typer.Option(metavar="INSTANT|FILE", help="Another time than the real one, such as 2023-03-02T09:00Z."),
    ] = None,
    transport: Annotated[
        str | None,
        typer.Option(
            help="How mail leaves: smtp://…, smtps://…, maildir:DIR. Default: DEELNAME_TRANSPORT, or maildir:DIR/mail."
        ),
    ] = None,
    transport_file: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="The same from a file or standard input: where it holds a password."),
    ] = None,
) -> None:
    """Start everything, empty or where it was left, until Ctrl-C."""
    leaves_by = _transport(transport, transport_file)
    local = deployment.module("deploy.local")
    output = desk.output

    def ready(system: Any) -> None:
        if output.as_json:
            output.json(system.endpoints)
            return
        _tell(desk, system.endpoints, system.layout)

    try:
        system = local.LocalSystem(
            data,
            port_base,
            now=now,
            partners=tuple(partner or ("demo",)),
            transport=leaves_by,
            tokens=True,
            say=output.note,
        )
        with output.notes.status("Starting the broker and the services…"):
            local.run(system, ready)
    except (local.DidNotStart, ValueError) as error:
        raise Failure(str(error), "", code=REFUSED) from None


def down(
    desk: Desk,
    *,
    patience: Annotated[float, typer.Option("--wait", min=0, metavar="SECONDS", help="How long it may take.")] = 60.0,
) -> None:
    """End a system that 'deelname up' started elsewhere, in order, and wait until it has ended."""
    endpoints = desk.endpoints
    if endpoints.process is None or endpoints.data is None:
        raise Failure(
            f"{endpoints.origin} is not of a system that 'deelname up' started.",
            "End the services of a deployment by what runs them: Compose, Kubernetes or systemd.",
            code=USAGE,
        )
    lock = endpoints.data / "lock"
    if not held(lock):
        raise Failure(f"Nothing runs on {endpoints.data}.", "", code=REFUSED)
    # Whoever holds the lock wrote the endpoints: the process is still that one, and no stranger's.
    os.kill(endpoints.process, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while held(lock):
        if time.monotonic() > deadline:
            raise Failure(
                f"It has not ended within {patience:g} seconds.", f"Look into {endpoints.data / 'logs'}.", code=REFUSED
            )
        time.sleep(_LOOK_EVERY)
    if desk.output.as_json:
        desk.output.json({"stopped": str(endpoints.data)})
    desk.output.say("Deelname has ended.", "bold green")


def demo(
    desk: Desk,
    once: Annotated[
        bool, typer.Option("--once", help="Stop by itself; fail if anything expected did not happen.")
    ] = False,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where all state goes; what an earlier demo left there is removed.")
    ] = Path("demo-data"),
    port_base: PortBase = 4700,
) -> None:
    """Run the five sample programmes from 2017 to 2023, with another process that enrols as a partner."""
    runner = deployment.module("deploy.demo.runner")
    local = deployment.module("deploy.local")
    try:
        missed: list[str] = runner.run(data, port_base, once=once, output=desk.output)
    except (local.DidNotStart, runner.DemoFailed) as error:
        raise Failure(str(error), f"The logs are in {data / 'logs'}.", code=REFUSED) from None
    if missed:
        raise Failure(
            "The demo did not go as expected:\n" + "\n".join(f"  • {line}" for line in missed),
            f"The logs are in {data / 'logs'}.",
        )


def _transport(named: str | None, file: str | None) -> str | None:
    """How mail leaves; a password comes by a file, standard input or the environment, never by the command line."""
    if file is not None:
        if named is not None:
            raise Failure("Mail leaves one way.", "Give --transport or --transport-file.", code=USAGE)
        try:
            return typed_or_octets(file, SMALL).decode().strip()
        except UnicodeDecodeError:
            raise Failure(f"{file} is no text.", "Name a file with one line.", code=USAGE) from None
    if named is None:
        return os.environ.get("DEELNAME_TRANSPORT") or None
    instead = "Give it by --transport-file FILE ('-' is standard input) or DEELNAME_TRANSPORT."
    refuse_password("--transport", named, instead)
    return named


def _tell(desk: Desk, endpoints: dict[str, Any], layout: Any) -> None:
    output, file = desk.output, layout.endpoints
    output.say("Deelname is ready. Ctrl-C stops it.", "bold green")
    output.table(
        "",
        ["", "Where"],
        [
            ("endpoints", file),
            *((f"{service}, HTTP", address) for service, address in endpoints["http"].items()),
            ("mails", endpoints["mail"] or "by SMTP"),
            ("logs", endpoints.get("logs", "")),
        ],
    )
    output.note("Reports in a browser: any name, and as the password the viewer's token, which the endpoints hold.")
    output.next(
        f"curl --header @{layout.header('viewer')} {endpoints['http']['reporting']}/api/programmes",
        f"deelname programme list --endpoints {file}",
        f"deelname organisation load organisations.csv --endpoints {file}",
        f"deelname programme publish programme.yaml --endpoints {file}",
    )

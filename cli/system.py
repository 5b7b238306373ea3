"""``deelname up`` and ``deelname demo``: the whole system on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli import deployment
from cli.desk import Desk, command
from cli.failure import REFUSED, Failure

PanelName = "The system on this machine"
PortBase = Annotated[
    int, typer.Option(min=1024, max=65000, metavar="N", help="The first of five neighbouring ports on loopback.")
]


def register(app: typer.Typer) -> None:
    """Add ``up`` and ``demo``."""
    command(
        app,
        "up",
        panel=PanelName,
        examples=["deelname up", "deelname up --data /srv/deelname --partner biblionet --partner schoolweb"],
    )(up)
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
        str | None, typer.Option(help="How mail leaves: smtp://…, smtps://…, maildir:DIR. Default: maildir:DIR/mail.")
    ] = None,
) -> None:
    """Start everything, empty or where it was left, until Ctrl-C."""
    local = deployment.module("deploy.local")
    output = desk.output

    def ready(system: Any) -> None:
        if output.as_json:
            output.json(system.endpoints)
            return
        _tell(desk, system.endpoints, system.layout.endpoints)

    try:
        system = local.LocalSystem(
            data, port_base, now=now, partners=tuple(partner or ("demo",)), transport=transport, say=output.note
        )
        with output.notes.status("Starting the broker and the services…"):
            local.run(system, ready)
    except (local.DidNotStart, ValueError) as error:
        raise Failure(str(error), "", code=REFUSED) from None


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


def _tell(desk: Desk, endpoints: dict[str, Any], file: Path) -> None:
    output = desk.output
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
    output.next(
        f"deelname token create --name me --role viewer --endpoints {file}",
        f"deelname programme list --endpoints {file}",
        f"deelname organisation load organisations.csv --endpoints {file}",
        f"deelname programme publish programme.yaml --endpoints {file}",
    )

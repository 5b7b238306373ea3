"""``deelname doctor``: what is wrong, in plain words, and what to do about it."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.desk import Desk, command
from cli.doctor import brokers, services
from cli.doctor.findings import RUNBOOK, Finding, Report
from cli.endpoints import Endpoints, is_address, refuse_password
from cli.failure import REFUSED, USAGE, Failure

__all__ = ["RUNBOOK", "Finding", "Report", "examine", "register"]

_LOOK_AGAIN = 0.5


def register(app: typer.Typer, panel: str) -> None:
    """Add ``doctor``."""
    command(
        app,
        "doctor",
        panel=panel,
        examples=[
            "deelname doctor",
            "deelname doctor --wait 60 --json",
            "deelname doctor --endpoints production/endpoints.json --http registration=https://deelname.example.org",
        ],
    )(doctor)


def doctor(
    desk: Desk,
    *,
    http: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE=URL", help="Where a service answers over HTTP, if the endpoints do not say."),
    ] = None,
    free: Annotated[float, typer.Option(min=0, max=100, metavar="PERCENT", help="Disk that must be free.")] = 10.0,
    days: Annotated[int, typer.Option(min=0, help="Days that certificates must still be good for.")] = 30,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Look again until nothing is wrong.")] = 0.0,
) -> None:
    """
    Say what is wrong with a running system, and what to do about it.

    It looks at the broker and its streams, at each service by HTTP and over the broker, at mails, disks, clocks and
    certificates. It ends with 0 when nothing is wrong (things to look at may be listed), else with 1.
    """
    named = _named(http or ())
    deadline = time.monotonic() + wait
    while True:
        try:
            endpoints = desk.endpoints
        except Failure:
            # 'deelname up' writes them when everything is ready.
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_AGAIN)
            continue
        report = examine(endpoints, {**endpoints.http, **named}, free=free, days=days)
        if report.well or time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_AGAIN)
    if desk.output.as_json:
        desk.output.json(report.document())
    else:
        _show(desk, report)
    if not report.well:
        raise typer.Exit(REFUSED)


def examine(
    endpoints: Endpoints,
    addresses: dict[str, str],
    *,
    free: float = 10.0,
    days: int = 30,
) -> Report:
    """Look at everything once."""
    report = Report()
    if endpoints.abandoned:
        # What else is wrong follows from it.
        report.add(
            "deelname up",
            "system-not-running",
            f"the one that wrote {endpoints.origin} was killed, and everything ended with it.",
            f"Start it again: deelname up --data {endpoints.data}, with the options that it had. Nothing is lost.",
            "a-service-does-not-answer",
        )
        return report
    brokers.examine(report, endpoints, days)
    services.examine(report, endpoints, addresses, free=free, days=days)
    return report


def _named(given: list[str] | tuple[str, ...]) -> dict[str, str]:
    named = {}
    for each in given:
        service, _, url = each.partition("=")
        refuse_password("--http", url, "Services ask nobody for a password there: name the address alone.")
        if service not in services.SERVICES or not is_address(url, ("http", "https")):
            raise Failure(
                f"'{each}' names no service's address.",
                "Write SERVICE=URL, such as registration=https://deelname.example.org.",
                code=USAGE,
            )
        named[service] = url.rstrip("/")
    return named


def _show(desk: Desk, report: Report) -> None:
    for finding in report.findings:
        mark, style = ("✗", "bold red") if finding.wrong else ("!", "yellow")
        desk.output.say(f"{mark} {finding.part}: {finding.what}", style)
        desk.output.say(f"    {finding.remedy}")
        desk.output.say(f"    {finding.runbook}", "dim")
    for line in report.skipped:
        desk.output.say(f"  not looked at: {line}", "dim")
    if report.well:
        desk.output.say(f"✓ Nothing is wrong. Looked at: {', '.join(report.checked)}.", "bold green")

"""What the demo says at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.endpoints import USUAL_PLACES
from cli.output import Output
from contracts.moments import AMSTERDAM
from contracts.rules import rule_title
from deploy.demo.checking import Result


def show(
    output: Output,
    results: Sequence[Result],
    *,
    failures: Sequence[str],
    once: bool,
    endpoints: Mapping[str, Any],
    file: Path,
    seconds: float,
    now: datetime,
) -> None:
    """Per programme what came of it; then which day it is there, where things are and what to try."""
    if output.as_json:
        output.json(
            {
                "programmes": [_plain(result) for result in results],
                "missed": list(failures),
                "endpoints": str(file),
                "mail": endpoints["mail"],
                "http": endpoints["http"],
                "seconds": round(seconds, 1),
                "now": now.isoformat(),
            }
        )
        return
    output.say("")
    output.table(
        f"Enrolments in five programmes, 2017 to 2023, in {seconds:.0f} seconds",
        ["Programme", "Confirmed", "Waiting", "Withdrawn", "Refused", "Why refused"],
        [
            (
                result.sample.programme,
                result.standing["confirmed"],
                result.standing["waiting"],
                result.standing["withdrawn"],
                result.standing["refused"],
                _in_words(result.refusals),
            )
            for result in results
        ],
    )
    output.table(
        "What the reports count: places (a person's, or a team's), people with a place, mails",
        ["Programme", "Places confirmed", "Places waiting", "Places withdrawn", "Places refused", "People", "Mails"],
        [
            (
                result.sample.programme,
                result.report.counts.units_confirmed,
                result.report.counts.units_waiting,
                result.report.counts.units_withdrawn,
                result.report.counts.units_refused,
                result.report.counts.people_confirmed,
                result.report.mails_sent,
            )
            for result in results
        ],
    )
    output.table(
        "Messages that could not become an enrolment, and who moved up",
        ["Programme", "Not taken", "Promoted", "Passed over"],
        [
            (
                result.sample.programme,
                _not_taken(result),
                _in_words(result.reasons("enrolment.promoted.v1")),
                _in_words(result.reasons("enrolment.passed-over.v1")),
            )
            for result in results
        ],
    )
    output.table(
        "Where things are",
        ["What", "Where"],
        [
            ("mails, one file each", f"{endpoints['mail']}/new"),
            ("reports, HTTP", endpoints["http"]["reporting"]),
            ("… any name, and this password", endpoints["tokens"]["viewer"]),
            ("enrolment, HTTP", endpoints["http"]["registration"]),
            ("notifications, HTTP", endpoints["http"]["notifications"]),
            ("endpoints for clients", file),
            ("logs", endpoints["logs"]),
        ],
    )
    day = now.astimezone(AMSTERDAM)
    output.say(
        f"In the demo it is {day:%A} {day.day} {day:%B %Y}, {day:%H:%M}, and stays so; pages and mails go by that day."
    )
    for line in failures:
        output.note(f"✗ {line}", "red")
    if not failures:
        output.say("✓ Everything that was expected has happened.", "bold green")
    here = any(place.absolute() == file for place in USUAL_PLACES)
    suffix = "" if here else f" --endpoints {file}"
    last = results[-1]
    promoted = next(
        (view.enrolment for view in last.enrolments.enrolments if any(r.rule == "unit-free" for r in view.reasons)),
        None,
    )
    if once:
        output.note("The system has been stopped again. Run the demo without --once, and in another terminal try:", "")
    output.next(
        f"deelname report programmes{suffix}",
        f"deelname report theme vluchtelingen-integratie --language nl{suffix}",
        f"deelname report participation --by province{suffix}",
        f"deelname enrolment list {last.sample.programme}{suffix}",
        *((f"deelname enrolment show {promoted}{suffix}",) if promoted and not once else ()),
        f"deelname mail list --programme {last.sample.programme}{suffix}",
        f"deelname log show --programme {last.sample.programme}{suffix}",
    )


def _plain(result: Result) -> dict[str, Any]:
    return {
        "programme": result.sample.programme,
        "enrolments": dict(result.standing),
        "refusals": result.refusals,
        "not_taken": _not_taken(result),
        "promoted": dict(result.reasons("enrolment.promoted.v1")),
        "passed_over": dict(result.reasons("enrolment.passed-over.v1")),
        "mails": result.mails,
        "answers": list(result.answers),
    }


def _not_taken(result: Result) -> str:
    kinds = Counter(answer.removeprefix("refused: ") for answer in result.answers if answer.startswith("refused: "))
    return _all(Counter({kind: n for kind, n in kinds.items() if not set(kind.split(", ")) <= set(result.refusals)}))


def _in_words(rules: Mapping[str, int]) -> str:
    return ", ".join(_counted(rule_title(rule).en, count) for rule, count in sorted(rules.items()))


def _all(counted: Counter[str]) -> str:
    return ", ".join(_counted(name, count) for name, count in sorted(counted.items()))


def _counted(name: str, count: int) -> str:
    return name if count == 1 else f"{name} ({count})"

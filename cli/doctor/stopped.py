"""Services that do not run: why, as far as the end of their logs says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.doctor.findings import Report
from cli.reading import parsed

_LAST_OF_A_LOG = 64 * 1024
_NOT_LET_IN = "the broker does not let us in"
_DAMAGED = ("file is not a database", "database disk image is malformed", "DamagedDatabase")
"""SQLite's words, and ours for what its check of a whole file finds."""


def not_answering(report: Report, service: str, address: str, error: str, logs: Path | None) -> None:
    """Say that nothing answers at a service's address, and what the last line of its log means."""
    last = _last_words(logs / f"{service}.log") if logs else None
    if last and "DatabaseTooNew" in last:
        report.add(
            service,
            "database-too-new",
            f"it does not start, because its database was written by a newer version: {last}.",
            "Start the newer version again, or restore the backup that was made before the update.",
            "a-database-newer-than-the-code",
        )
        return
    if last and last.startswith(_NOT_LET_IN):
        report.add(
            service,
            "wrong-credentials",
            f"it does not start: {last}.",
            "Give it the seed and the ca.pem that 'deelname broker configure' wrote for it"
            " (DEELNAME_NATS_…), or have the broker read its accounts again: deelname broker reload.",
            "wrong-credentials",
        )
        return
    if last and "NotAContinuation" in last:
        report.add(
            service,
            "stream-diverged",
            f"it does not start, because the broker was told otherwise: {last.removeprefix('NotAContinuation: ')}",
            "Decide which of the two holds, as the runbook says. Nothing is lost as long as neither is changed.",
            "a-relay-does-not-follow",
        )
        return
    if last and any(words in last for words in _DAMAGED):
        report.add(
            service,
            "database-damaged",
            f"it does not start, because its database is damaged: {last}.",
            "Delete it and start the service: it counts everything again."
            if service == "reporting"
            else "Restore the newest backup; what came after it is read back from the broker. Keep the damaged file.",
            "database-lost",
        )
        return
    said = f" The last that its log says is: {last}." if last else ""
    report.add(
        service,
        "service-not-answering",
        f"nothing answers at {address} ({error}).{said}",
        f"Start it (python -m services.{service}), or look at its log: the last line says why it stopped.",
        "a-service-does-not-answer",
    )


def _last_words(log: Path) -> str | None:
    """Why a service ended, if the end of its log says so."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_OF_A_LOG))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            event: Any = parsed(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("level") == "critical":
            causes = event.get("exception") or [{}]
            cause = causes[-1] if isinstance(causes, list) and isinstance(causes[-1], dict) else {}
            kind, value = cause.get("exc_type"), cause.get("exc_value")
            told = ": ".join(str(event[key]) for key in ("event", "reason") if event.get(key))
            return f"{kind}: {value}" if kind else told
        if isinstance(event, dict) and event.get("event") == "service started":
            return None
    return None

"""The services: whether they answer, whether they are of use and why not, and what waits for a person."""

from __future__ import annotations

import http.client
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from cli.connection import Connection
from cli.doctor import links, mails
from cli.doctor.brokers import CLOCKS_DIFFER, STORE_FAILED, examine_clock, examine_end
from cli.doctor.findings import Report, Section
from cli.doctor.stopped import not_answering
from cli.endpoints import Endpoints
from cli.failure import Failure
from cli.reading import parsed
from contracts.problem import ProblemError
from contracts.queries import (
    Everything,
    LogPiece,
    LogQuestion,
    MailList,
    MailsQuestion,
    ProgrammeReportList,
)

SERVICES: Final = ("registration", "notifications", "reporting")

_PATIENCE = 8.0
_LARGEST_ANSWER = 1024 * 1024

_REASONS: dict[str, tuple[str, str, Section]] = {
    "database": (
        "database-not-writable",
        "Make room on the disk, or repair it; the service goes on by itself. What it could not store it has refused.",
        "disk-full",
    ),
    "broker": STORE_FAILED,
    "transport": (
        "mail-server-refuses",
        "Mend the mail server or DEELNAME_TRANSPORT. Mails wait and go by themselves; nothing is sent twice.",
        "mail-relay-down",
    ),
    "mail_server": (
        "mail-server-unreachable",
        "See whether it runs, and whether the address in DEELNAME_TRANSPORT and the firewall lead to it. Mails wait and"
        " go by themselves when it answers again.",
        "mail-relay-down",
    ),
    "start": (
        "service-starting",
        "Leave it time: a large database is migrated, or the broker waited for. 'deelname doctor --wait 300' looks"
        " until it is there; its log says what it does.",
        "a-service-does-not-answer",
    ),
    "contacts": (
        "contacts-not-erased",
        "deelname broker configure DIR, then reload and declare. Nothing else waits for it.",
        "a-persons-data-to-be-erased",
    ),
    "caps": (
        "mails-over-the-cap",
        "'deelname mail list --status planned' says what is being sent. If that is right, raise the cap.",
        "more-mails-than-the-caps-allow",
    ),
    "pages": (
        "no-public-url",
        "Set DEELNAME_PUBLIC_URL of notifications to where people reach registration's pages"
        " ('deelname broker configure DIR --public-url URL'), and start it again.",
        "personal-links",
    ),
    "inbox": (
        "inbox-not-answering",
        "Mend what it names, such as DEELNAME_INBOX. The mail server keeps what comes back, and hands it over then.",
        "mail-that-comes-back-is-not-taken",
    ),
    "sending": (
        "mails-stay-under-way",
        "Look whether the mail server answers; if it does, restart notifications. Nothing is sent twice by itself.",
        "mails-that-stay-under-way",
    ),
}
_REMARKS: dict[str, tuple[str, str, Section]] = {
    "servers": (
        "broker-servers",
        "Start again what is missing, and wait until it has everything: deelname broker streams DIR --wait 120.",
        "a-server-of-the-broker-is-gone",
    ),
    "inbox_full": (
        "inbox-full",
        "'deelname mail received --unread' says what fills it: deal with it, then 'deelname mail dismiss NUMBER'. The"
        " mail server keeps what was refused, and hands it over then.",
        "mails-that-wait-for-a-person",
    ),
}
"""Of what waits for a person, the broker says more."""

_DIVERGED = ("the stream is at", "facts the stream holds", "the stream has lost", "of the stream is not the fact")

_ASKED: dict[str, tuple[str, str, BaseModel, type[BaseModel]]] = {
    "registration": ("log", "read", LogQuestion(limit=1), LogPiece),
    "notifications": ("mail", "list", MailsQuestion(limit=1), MailList),
    "reporting": ("programme", "list", Everything(), ProgrammeReportList),
}


def examine(report: Report, endpoints: Endpoints, addresses: dict[str, str], *, free: float, days: int) -> None:
    """Look at each service by HTTP and over the broker, and at what waits for a person."""
    answering: dict[str, dict[str, Any]] = {}
    for service in SERVICES:
        if service not in addresses:
            report.skipped.append(f"{service} over HTTP: name its address with --http {service}=URL")
            continue
        ready = _examine_http(report, service, addresses[service], endpoints.logs, free=free, days=days)
        if ready is not None:
            answering[service] = ready
    links.examine(report, answering)
    if "staff" in endpoints.accesses and not any(each.part == "broker" and each.wrong for each in report.findings):
        with Connection(endpoints.access("staff")) as connection:
            for service in SERVICES:
                if service in answering or service not in addresses:
                    _examine_over_broker(report, connection, service, runs=service in answering)
            mails.examine(report, connection)


# By HTTP --------------------------------------------------------------------------------------------------------------


def _examine_http(
    report: Report, service: str, address: str, logs: Path | None, *, free: float, days: int
) -> dict[str, Any] | None:
    """What it says of itself; None where it does not answer."""
    asked = datetime.now(UTC)
    try:
        status, headers, body, not_after = _get(address, "/health/ready")
        ready: dict[str, Any] = parsed(body)
        reasons = dict(ready["reasons"])
    except TimeoutError as error:
        _silent(report, service, address, str(error) or type(error).__name__)
        return None
    except (OSError, http.client.HTTPException) as error:
        not_answering(report, service, address, str(error) or type(error).__name__, logs)
        return None
    except (ValueError, KeyError, TypeError):
        report.add(
            service,
            "not-a-service",
            f"what answers at {address} is not {service}.",
            "Correct the address, or update the service: an older one gives no reasons.",
            "a-service-does-not-answer",
        )
        return None
    if (other := ready.get("service")) and other != service:
        report.add(
            service,
            "another-service",
            f"what answers at {address} is {other}.",
            f"Correct the address of {service}: in endpoints.json, or --http {service}=URL.",
            "a-service-does-not-answer",
        )
        return None
    report.checked.append(f"{service} over HTTP ({'ready' if status == http.client.OK else 'not ready'})")
    for part, reason in sorted(reasons.items()):
        _not_ready(report, service, part, str(reason))
    for part, remark in sorted(dict(ready.get("remarks") or {}).items()):
        if part not in _REMARKS:
            continue
        code, remedy, section = _REMARKS[part]
        # Who may ask the broker has said more of it already.
        if section not in {finding.section for finding in report.findings if finding.part.startswith("broker")}:
            report.add(service, code, f"{remark}.", remedy, section, wrong=False)
    _examine_disk(report, service, ready.get("disk") or {}, free)
    if not_after:
        examine_end(report, address, "the certificate", not_after, days)
    _examine_clocks(report, service, ready, headers, asked)
    return ready


def _get(address: str, path: str) -> tuple[int, http.client.HTTPMessage, bytes, str | None]:
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_PATIENCE)
    try:
        connection.request("GET", parts.path.rstrip("/") + path)
        sock = connection.sock
        shown = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
        answer = connection.getresponse()
        return answer.status, answer.msg, answer.read(_LARGEST_ANSWER), str(shown["notAfter"]) if shown else None
    finally:
        connection.close()


def _silent(report: Report, service: str, address: str, error: str) -> None:
    """Somebody there, or a network that lets nothing through: to start another would help against neither."""
    report.add(
        service,
        "service-silent",
        f"{address} says nothing within {_PATIENCE:g} seconds ({error}).",
        "See whether the process runs. If it does, kill it: what starts it starts it again, and it may be killed at any"
        " time. If its machine is not reached from here either, look at the network first.",
        "a-service-does-not-answer",
    )


def _not_ready(report: Report, service: str, part: str, reason: str) -> None:
    kind, _, stream = part.partition("/")
    if kind == "relays":
        diverged = any(words in reason for words in _DIVERGED)
        report.add(
            service,
            "stream-diverged" if diverged else "relay-not-following",
            f"its facts do not reach the stream {stream}: {reason}.",
            "The log in the database is what holds. Make the stream anew, as the runbook says: it is filled again."
            if diverged
            else "Nothing is lost: facts wait in the database. Look at the broker first; it goes on by itself.",
            "a-relay-does-not-follow",
        )
    elif kind == "readers":
        report.add(
            service,
            "reader-not-following",
            f"it does not keep up with the stream {stream}: {reason}.",
            "Look at the broker first, then at the service's log; it goes on by itself where it stopped.",
            "a-reader-is-behind",
        )
    else:
        code, remedy, section = _REASONS.get(part, ("not-ready", "Look at the service's log.", "where-to-look-first"))
        report.add(service, code, f"{reason}.", remedy, section)


def _examine_disk(report: Report, service: str, disk: dict[str, int], free: float) -> None:
    size, left = disk.get("size", 0), disk.get("free", 0)
    if size and left * 100 < size * free:
        report.add(
            service,
            "disk-nearly-full",
            f"only {left / 2**30:.1f} of {size / 2**30:.1f} GiB are free where its database is.",
            "Make room, or move the volume to a larger disk, before commands are refused.",
            "disk-full",
            wrong=left * 100 < size,
        )


def _examine_clocks(
    report: Report, service: str, ready: dict[str, Any], headers: http.client.HTTPMessage, asked: datetime
) -> None:
    machine = asked
    if date := headers.get("date"):
        machine = parsedate_to_datetime(date)
        examine_clock(report, service, machine, asked)
    try:
        told = datetime.fromisoformat(str(ready.get("now")))
    except ValueError:
        return
    # Its machine's clock may be wrong as well, which is another matter; an older release does not say which it is.
    if ready.get("clock", "set") == "set" and abs(told - machine) > CLOCKS_DIFFER:
        report.add(
            service,
            "clock-set",
            f"it goes by another time than the real one: {told:%Y-%m-%d %H:%M} UTC (DEELNAME_NOW).",
            "Right for a trial. In production unset DEELNAME_NOW: deadlines and mails go by this clock.",
            "clocks",
            wrong=False,
        )


# Over the broker ------------------------------------------------------------------------------------------------------


def _examine_over_broker(report: Report, connection: Connection, service: str, *, runs: bool) -> None:
    entity, verb, question, answer = _ASKED[service]
    try:
        connection.ask(service, entity, verb, question, answer, patience=_PATIENCE)
    except ProblemError as error:
        report.add(
            service,
            "question-refused",
            f"it refuses a plain question: {error.problem.title}.",
            "Look at the service's log.",
            "where-to-look-first",
        )
    except Failure as failure:
        report.add(
            service,
            "no-answer-over-the-broker",
            f"it {'runs, and ' if runs else ''}does not answer over the broker: {failure.what}",
            ("" if runs else "Start it. ")
            + "Where it runs, compare its DEELNAME_NATS_… settings with the broker's; its log says whether it is let"
            " in.",
            "a-service-does-not-answer",
        )
    else:
        report.checked.append(f"{service} over the broker")

"""The broker: whether it lets us in, its certificate, its clock, its disk and its streams."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

from nats.aio.client import Client

from cli.connection import Connection
from cli.doctor import servers
from cli.doctor.findings import Report, Section
from cli.doctor.servers import Said
from cli.encryption import trusting
from cli.endpoints import Access, Endpoints
from cli.failure import Failure
from cli.output import counted
from contracts import subjects

MONITOR = "monitor"
CLOCKS_DIFFER = timedelta(seconds=5)

_STREAMS = (
    *(subjects.log_stream(service) for service in ("registration", "notifications")),
    f"KV_{subjects.CONTACTS}",
    subjects.OUTCOMES_STREAM,
)
_FULL, _NEARLY_FULL = 0.98, 0.8
_MANY_REQUESTS = 1000

STORE_FAILED: tuple[str, str, Section] = (
    "broker-store-failed",
    "Make room on its disk, or mend it, and start the broker again: until then it does not try. Once there is room"
    " 'deelname up' and Compose do that by themselves. Nothing is lost: facts wait in the services' databases.",
    "disk-full",
)

_WHY: dict[str, tuple[str, str, Section]] = {
    "unreachable": (
        "broker-unreachable",
        "Start it, or correct the address in endpoints.json; services go on by themselves when it is back.",
        "the-broker-does-not-answer",
    ),
    "unknown": (
        "wrong-credentials",
        "Use the endpoints.json and the seeds of this deployment; after a change of keys: deelname broker reload.",
        "wrong-credentials",
    ),
    "unusable": (
        "wrong-credentials",
        "Use the seeds of this deployment; 'deelname broker configure DIR' makes those anew that are not there.",
        "wrong-credentials",
    ),
    "distrusted": (
        "wrong-certificate",
        "Use the ca.pem of this deployment, or make the broker's certificate anew.",
        "certificates",
    ),
}


def examine(report: Report, endpoints: Endpoints, days: int) -> None:
    """Connect as staff and as the monitor, and look at what they may see."""
    for identity in ("staff", MONITOR):
        if identity not in endpoints.accesses:
            report.skipped.append(f"the broker as {identity}: {endpoints.origin} has no access for it")
            continue
        access = endpoints.access(identity)
        try:
            with Connection(access) as connection:
                client = connection.run(connection.client())
                report.checked.append(f"the broker as {identity}")
                if identity == "staff":
                    _examine_certificates(report, client, access, days)
                else:
                    told, healths = servers.ask(connection)
                    _examine_servers(report, told)
                    _examine_stores(report, healths)
                    servers.examine(report, connection, told)
        except Failure as failure:
            code, remedy, section = _WHY.get(failure.kind, _WHY["unreachable"])
            report.add("broker", code, failure.what, failure.remedy if not failure.kind else remedy, section)
            if failure.kind == "unreachable":
                return


# Certificates ---------------------------------------------------------------------------------------------------------


def _examine_certificates(report: Report, client: Client, access: Access, days: int) -> None:
    writer = getattr(client._transport, "_io_writer", None)
    shown = writer.get_extra_info("peercert") if writer is not None else None
    if shown:
        examine_end(report, "broker", "its certificate", shown["notAfter"], days)
    if access.authority is not None:
        for found in trusting(access.authority).get_ca_certs():
            examine_end(report, access.authority.name, "the authority's certificate", str(found["notAfter"]), days)


def examine_end(report: Report, part: str, what: str, not_after: str, days: int) -> None:
    """Compare the end of a certificate, as the standard library writes it, with now."""
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after), UTC)
    left = end - datetime.now(UTC)
    if left <= timedelta(days=days):
        over = left <= timedelta()
        report.add(
            part,
            "certificate-over" if over else "certificate-ends",
            f"{what} {'ended' if over else 'ends'} on {end:%Y-%m-%d}{'' if over else f', in {left.days} days'}.",
            "deelname broker configure DIR --renew-certificate, then deelname broker reload DIR.",
            "certificates",
            wrong=over,
        )


# Servers and streams --------------------------------------------------------------------------------------------------


def _examine_servers(report: Report, told: Said) -> None:
    if not told:
        report.add(
            "broker",
            "broker-silent",
            "it says nothing of its streams to the monitor.",
            "Look whether nats.conf is the one that 'deelname broker configure' wrote, and reload it.",
            "the-broker-does-not-answer",
        )
        return
    streams: dict[str, dict[str, Any]] = {}
    for server in told:
        name = server["server"]["name"]
        showed = datetime.fromisoformat(server["server"]["time"][:19] + "+00:00")
        examine_clock(report, f"broker {name}", showed, datetime.fromtimestamp(server["asked"], UTC))
        data = server.get("data") or {}
        _examine_room(
            report,
            f"broker {name}",
            "its room for streams",
            data.get("storage", 0),
            (data.get("config") or {}).get("max_storage", 0),
        )
        for account in data.get("account_details") or ():
            streams |= {stream["name"]: stream for stream in account.get("stream_detail") or ()}
    report.checked.append(f"{counted(len(streams), 'stream')} on {counted(len(told), 'server')}")
    _examine_streams(report, streams)


def _examine_stores(report: Report, told: Said) -> None:
    for server in told:
        error = str((server.get("data") or {}).get("error") or "")
        if "write error" in error:
            report.add(
                f"broker {server['server']['name']}",
                STORE_FAILED[0],
                f"it cannot write its store: {error}.",
                *STORE_FAILED[1:],
            )


def _examine_streams(report: Report, streams: dict[str, dict[str, Any]]) -> None:
    for name in _STREAMS:
        if name not in streams:
            report.add(
                name,
                "stream-missing",
                "the broker has no such stream.",
                "Declare the streams again: python -m deploy.topology ('deelname up' does it). What services have"
                " decided is copied into it again by itself.",
                "broker-disk-lost",
            )
    for name, stream in sorted(streams.items()):
        state, configuration = stream.get("state") or {}, stream.get("config") or {}
        for what, held, most in (
            ("bytes", state.get("bytes", 0), configuration.get("max_bytes", 0)),
            ("messages", state.get("messages", 0), configuration.get("max_msgs", 0)),
        ):
            if configuration.get("discard") == "new":
                _examine_room(report, name, f"its {what}", held, most)
        if subjects.source_of(name) is not None and state.get("messages", 0) > _MANY_REQUESTS:
            report.add(
                name,
                "intake-waits",
                f"{state['messages']} requests of this partner wait to be decided.",
                "Look whether registration is ready; if it is, this is a flood: see what they send.",
                "poisoned-intake",
                wrong=False,
            )


def _examine_room(report: Report, part: str, what: str, held: int, most: int) -> None:
    if most and most > 0 and held >= most * _NEARLY_FULL:
        full = held >= most * _FULL
        report.add(
            part,
            "stream-full" if full else "stream-nearly-full",
            f"{what}: {held:,} of {most:,} are taken{'; nothing more fits' if full else ''}.",
            "Give it more room in deploy/streams.py (or the broker, max_file_store) and declare the streams again.",
            "a-stream-is-full",
            wrong=full,
        )


def examine_clock(report: Report, part: str, told: datetime, asked: datetime) -> None:
    """Compare another machine's clock with ours."""
    if abs(told - asked) > CLOCKS_DIFFER:
        report.add(
            part,
            "clock-differs",
            f"its clock and this one differ by {abs(told - asked).total_seconds():.0f} seconds.",
            "Have both machines follow the same time servers (NTP).",
            "clocks",
        )

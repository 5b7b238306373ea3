"""
The one-shots of ``compose.yaml``.

``python -m deploy.containers configure`` makes, on the first start, the keys, certificates and configuration of the
broker in the volume ``/deployment``, and hands each container, by a volume of its own under ``/handed``, what it may
see and no more. ``declare`` waits for the broker and declares the streams. ``demo`` tells the sample programmes.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli import private
from contracts.characters import visible
from deploy import topology
from deploy.demo import runner
from deploy.endpoints import entry
from deploy.identities import SERVICES
from deploy.links import LINKED
from deploy.production.directory import SEEDS, STAFF, Directory

BROKER = "tls://nats:4222"
BROKER_WITHIN = 60.0
"""Seconds that the broker may take to listen."""
_SECRETS = "/run/secrets/deelname"
_PORT = 8080
_SEEDS: Mapping[str, tuple[str, ...]] = {**SEEDS, "demo": (STAFF,)}
_LOOK_EVERY = 0.2


class BrokerDoesNotListen(RuntimeError):  # noqa: N818 - it reads as what happened
    """Nothing listened at the broker's address in time."""


def configure(deployment: Path, handed: Path, environment: Mapping[str, str]) -> None:
    """
    Write the deployment, or write it again with the keys that it has, and hand it out.

    Args:
        deployment: the whole, for operators alone.
        handed: a folder for each container, which nobody else sees.
        environment: DEELNAME_PARTNERS, parted by commas; DEELNAME_PARTNERS_URL, where partners reach the broker;
            DEELNAME_NOW, the file of a settable clock, which is put where the system's samples begin.

    Raises:
        ValueError: a partner's name or an address cannot be one.
        OSError: a file cannot be written.
    """
    directory = Directory(deployment)
    partners = _words(environment.get("DEELNAME_PARTNERS", ""))
    known = directory.read().partners if directory.description.exists() else ()
    outside = environment.get("DEELNAME_PARTNERS_URL", "")
    directory.configure(
        {
            "url": BROKER,
            "partners_url": outside,
            "names": (urlsplit(outside).hostname,) if outside else (),
            # A partner that was added by command stays.
            "partners": tuple(dict.fromkeys((*known, *partners))),
            "broker_at": "/etc/deelname/broker",
            "secrets_at": _SECRETS,
        }
    )
    _copy(directory.broker.iterdir(), handed / "broker")
    for name, seeds in _SEEDS.items():
        _copy((directory.authority, *map(directory.seed, seeds)), handed / name)
    for name in LINKED:
        _copy((directory.link_keys(name),), handed / name)
    _introduce_demo(directory, handed / "demo")
    if environment.get("DEELNAME_NOW") and not (handed / "clock" / "now").exists():
        private.folder(handed / "clock")
        _hand(handed / "clock" / "now", f"{runner.beginning().isoformat()}\n".encode())


def declare(environment: Mapping[str, str]) -> int:
    """
    Wait for the broker, then declare the streams. Returns the exit code.

    Raises:
        BrokerDoesNotListen: it did not come in time.
    """
    address = urlsplit(environment["DEELNAME_NATS_URL"])
    deadline = time.monotonic() + BROKER_WITHIN
    while True:
        try:
            socket.create_connection((address.hostname or "", address.port or 4222), timeout=2).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise BrokerDoesNotListen(f"{address.netloc} after {BROKER_WITHIN:.0f} s: {error}") from error
            time.sleep(_LOOK_EVERY)
        else:
            return topology.main([])


def demo(secrets: Path, clock: Path) -> int:
    """Tell the sample programmes, unless they were told before. Returns the exit code: 1 when something is amiss."""
    told = clock.with_name("told")
    if told.exists():
        print("demo: the sample programmes are there")
        return 0
    missed = runner.tell(secrets / "endpoints.json", clock)
    for line in missed:
        print(visible(f"demo: {line}"), file=sys.stderr)
    if not missed:
        told.touch()
    return 1 if missed else 0


def _introduce_demo(directory: Directory, folder: Path) -> None:
    """The demo speaks as staff and, in a process of its own, as the partner of the samples."""
    endpoints: dict[str, Any] = {"nats": {}, "http": {name: f"http://{name}:{_PORT}" for name in SERVICES}}
    deployment = directory.read()
    people = [name for name in (STAFF, runner.PARTNER) if name == STAFF or name in deployment.partners]
    for name in people:
        endpoints["nats"][name] = entry(deployment.access, name, BROKER, nkey_seed_file=f"{name}.nk", ca_file="ca.pem")
    if runner.PARTNER in people:
        _copy((directory.partner(runner.PARTNER) / f"{runner.PARTNER}.nk",), folder)
    _hand(folder / "endpoints.json", (json.dumps(endpoints, indent=2) + "\n").encode())


def _copy(files: Iterable[Path], folder: Path) -> None:
    private.folder(folder)
    for file in files:
        _hand(folder / file.name, file.read_bytes())


def _hand(file: Path, content: bytes) -> None:
    """Replaced as a whole, for it may be read at this moment; of whoever owns the folder, where root hands it out."""
    private.write(file, content, owner=file.parent.stat().st_uid if os.geteuid() == 0 else None)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def main(arguments: list[str] | None = None) -> int:
    """Do one of the three. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.containers", description=__doc__)
    parser.add_argument("what", choices=("configure", "declare", "demo"))
    try:
        match parser.parse_args(arguments).what:
            case "configure":
                configure(Path("/deployment"), Path("/handed"), os.environ)
                return 0
            case "declare":
                return declare(os.environ)
            case _:
                return demo(Path(_SECRETS), Path("/clock/now"))
    except (ValueError, OSError, RuntimeError) as error:
        print(visible(f"containers: {error}"), file=sys.stderr)
        return 1


if __name__ == "__main__":
    private.begin()
    raise SystemExit(main())

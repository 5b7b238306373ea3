"""``deelname broker``: the broker's configuration, keys and certificates for a deployment."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import deployment
from cli.desk import Desk, command, group
from cli.failure import Failure

app = group("The broker of a deployment: configuration, keys, certificates.")

_Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The deployment's directory.")]


@command(
    app,
    "configure",
    examples=[
        "deelname broker configure production --url tls://nats:4222 --partner biblionet"
        " --public-url https://deelname.example.org",
        "deelname broker configure production --url tls://nats:4222 --broker-at /etc/nats --secrets-at /run/secrets",
        "deelname broker configure production --node a=nats-a.example.org --node b=nats-b.example.org"
        " --node c=nats-c.example.org",
        "deelname broker configure production --owner broker=nats --owner registration=deelname",
        "deelname broker configure production",
    ],
)
def configure(
    desk: Desk,
    directory: _Directory,
    *,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the services reach the broker; several parted by commas.")
    ] = None,
    partners_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where partners reach it. Default: as the services do.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where people reach the pages; links in mails lead there.")
    ] = None,
    operations_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where this tool reaches it. Default: as the services do.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="One more host name or address for the certificate; repeat it.")
    ] = None,
    encryption: Annotated[
        bool | None, typer.Option("--encryption/--no-encryption", help="TLS for everybody. Default: yes.")
    ] = None,
    partner: Annotated[list[str] | None, typer.Option(help="Who may send requests; repeat it.")] = None,
    port: Annotated[int | None, typer.Option(help="Where the broker listens. Default: 4222.")] = None,
    host: Annotated[str | None, typer.Option(help="On which address it listens. Default: 0.0.0.0.")] = None,
    monitoring: Annotated[
        str | None, typer.Option(metavar="HOST:PORT|off", help="Its monitoring pages. Default: 127.0.0.1:8222.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the broker keeps the streams. Default: /data.")
    ] = None,
    node: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=HOST:PORT:ROUTES_PORT", help="One server of three or five; repeat it."),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="One server again, after there were several.")] = False,
    replicas: Annotated[
        int | None, typer.Option(help="How many servers keep each stream. Default: 3, or 1 where there is one.")
    ] = None,
    server_name: Annotated[str | None, typer.Option(help="The broker's own name. Default: deelname.")] = None,
    broker_at: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the broker sees DIR/broker. Default: where it is.")
    ] = None,
    secrets_at: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where services see DIR/secrets. Default: where it is.")
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option(
            metavar="READER=USER",
            help="Who runs broker, registration, notifications, reporting or topology, by name or number; repeat it."
            " What it reads is handed to that user, which root alone can do. Default: whoever owns DIR.",
        ),
    ] = None,
    renew_certificate: Annotated[bool, typer.Option("--renew-certificate", help="Make the certificate anew.")] = False,
) -> None:
    """
    Write the broker's configuration, and what every client of it needs, into DIR.

    DIR/broker/            nats.conf, accounts.conf (public keys only), server.pem, server-key.pem: mount the directory

    of three or five servers (--node): nats-NAME.conf for each in place of nats.conf, routes.conf (secret), ca.pem; the
    ports are 4222 for clients and 6222 for the other servers unless given

    DIR/secrets/           NAME.nk, the seed of each service, of topology, topology_partners, staff, monitor, operator;
    NAME.links, the keys of personal links; ca.pem, the authority

    DIR/environment/       NAME.env: the settings DEELNAME_… of each service and of the one-shot topology

    DIR/endpoints.json     for deelname --endpoints, as staff or --as monitor

    DIR/partners/NAME/     what is handed to a partner: NAME.nk, ca.pem, endpoints.json

    DIR/authority/         the authority's key: needed to make certificates alone; keep it offline

    DIR/deployment.json    what was chosen, with the public keys; no secret

    Each file is its owner's alone (mode 0600), but for ca.pem; --owner broker=nats hands DIR/broker to the user nats.

    Run again it keeps keys, partners and choices; a certificate that lacks a name or ends within 30 days is made anew.
    """
    chosen: dict[str, Any] = {
        "url": url,
        "partners_url": partners_url,
        "operations_url": operations_url,
        "public_url": public_url,
        "names": name,
        "encrypted": encryption,
        "partners": partner,
        "port": port,
        "host": host,
        "store": store,
        "server_name": server_name,
        "replicas": replicas,
        "broker_at": broker_at,
        "secrets_at": secrets_at,
    }
    if monitoring not in (None, "off"):
        chosen["monitoring_host"], _, chosen["monitoring_port"] = monitoring.rpartition(":")
    production = deployment.module("deploy.production.directory")
    with deployment.failures():
        chosen = {key: value for key, value in chosen.items() if value is not None}
        if monitoring == "off":
            chosen["monitoring_port"] = None
        elif monitoring is not None and not (chosen["monitoring_host"] and chosen["monitoring_port"].isdecimal()):
            raise ValueError(f"--monitoring is HOST:PORT, such as 127.0.0.1:8222, or off; not {monitoring!r}")
        if owner:
            chosen["owners"] = dict(_owner(text) for text in owner)
        if node:
            chosen["nodes"] = tuple(production.Node.parse(text) for text in node)
        elif alone:
            chosen |= {"nodes": (), "replicas": replicas}
        written = production.Directory(directory).configure(chosen, renew_certificate=renew_certificate)
    if desk.output.as_json:
        desk.output.json(written)
        return
    desk.output.say(f"{directory} is configured for {written.url}.", "bold green")
    desk.output.table(
        "",
        ["", "Where"],
        [
            ("the broker reads", directory / "broker"),
            ("seeds, and the authority for clients", directory / "secrets"),
            ("settings of each service", directory / "environment"),
            ("for this tool", directory / "endpoints.json"),
            ("links in mails lead to", written.public_url or "nowhere yet: say --public-url https://…"),
            *((f"to hand to {partner}", directory / "partners" / partner) for partner in written.partners),
        ],
    )


def _owner(text: str) -> tuple[str, str]:
    reader, _, user = text.partition("=")
    if not reader or not user:
        raise ValueError(f"--owner is READER=USER, such as broker=nats; not {text!r}")
    return reader, user


@command(app, "certificates", examples=["deelname broker certificates relay --name mail.example.org"])
def certificates(
    desk: Desk,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the certificates go.")],
    *,
    name: Annotated[list[str], typer.Option(help="Host name or address of the server; repeat it.")],
    renew: Annotated[bool, typer.Option("--renew", help="Make the server's certificate anew.")] = False,
) -> None:
    """Make a self-signed authority and a certificate of it for any server: a mail relay, a proxy."""
    made = deployment.module("deploy.production.certificates")
    with deployment.failures():
        files = made.make_certificates(directory, name, renew=renew)
        until = made.ends(files.server)
    rows = [
        ("authority, for clients", files.authority),
        ("certificate", files.server),
        ("its key, secret", files.server_key),
        ("the authority's key, offline", files.authority_key),
        ("good until", f"{until:%Y-%m-%d}"),
    ]
    if desk.output.as_json:
        desk.output.json({"authority": str(files.authority), "server": str(files.server),
                          "server_key": str(files.server_key), "until": until.isoformat()})  # fmt: skip
        return
    desk.output.table("", ["", "Where"], rows)


@command(app, "rotate-links", examples=["deelname broker rotate-links production"])
def rotate_links(desk: Desk, directory: _Directory) -> None:
    """
    Put a new key of personal links on top, and keep the one before it, by which links under way are still believed.

    Both services need it, and in this order: registration, which must believe it, then notifications, which makes links
    with it. Done twice it makes every link worthless that was made so far.
    """
    place = deployment.module("deploy.production.directory").Directory(directory)
    with deployment.failures():
        names = place.rotate_links()
    if desk.output.as_json:
        desk.output.json({"keys": names, "newest": names[0]})
        return
    desk.output.say(
        f"{names[0]} is the newest key of links. Of {names[1]} they are believed, of older ones no more.", "bold green"
    )
    desk.output.say("Start registration again, then notifications; where they see copies, copy these first:")
    for service in deployment.module("deploy.links").LINKED:
        desk.output.say(f"  {place.link_keys(service)}")


@command(app, "reload", examples=["deelname broker reload production"])
def reload(desk: Desk, directory: _Directory) -> None:
    """Have every server of the broker read its configuration again; connections that are still allowed live on."""
    place = deployment.module("deploy.production.directory").Directory(directory)
    with deployment.failures():
        servers = asyncio.run(deployment.module("deploy.production.reload").reload(place, place.read()))
    if desk.output.as_json:
        desk.output.json({"reloaded": servers})
    desk.output.say(f"Reloaded: {', '.join(servers)}.", "bold green")


_Wait = Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for all servers to have everything.")]


@command(app, "declare", examples=["deelname broker declare production", "deelname broker declare production --wait 0"])
def declare(desk: Desk, directory: _Directory, *, wait: _Wait = 120.0) -> None:
    """
    Declare streams, bucket and consumers as DIR says, on as many servers as it says; wait until they have everything.

    Safe to repeat at any time, also while everything runs. Nothing is ever deleted.
    """
    place, copies = _place(directory)
    with deployment.failures():
        changes = asyncio.run(copies.declare_all(place, wait))
        if wait:
            asyncio.run(copies.until_whole(place, wait))
    if desk.output.as_json:
        desk.output.json({word: list(getattr(changes, word)) for word in _CHANGES})
        return
    for word in _CHANGES:
        if names := getattr(changes, word):
            desk.output.say(f"{word}: {', '.join(names)}")
    desk.output.say("Declared." if not wait else "Declared, and whole on every server.", "bold green")


_CHANGES = ("created", "updated", "unchanged", "undeclared")


_A_MOMENT = 3.0


@command(
    app, "streams", examples=["deelname broker streams production", "deelname broker streams production --wait 60"]
)
def streams(desk: Desk, directory: _Directory, *, wait: _Wait = _A_MOMENT) -> None:
    """
    Which servers keep each stream, and whether they have all of it; exit code 1 where one lacks something.

    Under load a server may lack the newest message for a moment, so it looks again for as long as --wait says.
    """
    place, copies = _place(directory)
    lacks = ""
    with deployment.failures():
        try:
            kept = asyncio.run(copies.until_whole(place, wait))
        except copies.NotWhole as error:
            kept, lacks = error.kept, str(error)
    if desk.output.as_json:
        desk.output.json([{**dataclasses.asdict(stream), "whole": stream.whole} for stream in kept])
    elif kept:
        desk.output.table(
            "",
            ["Stream", "Messages", "Leader", "Has everything", "Lags"],
            [
                (
                    stream.name,
                    f"{stream.messages:,}",
                    stream.leader or "",
                    f"{len(stream.current)} of {stream.wanted}"
                    + (f": {', '.join(stream.current)}" if stream.leader else ""),
                    ", ".join(
                        f"{name} by {messages:,}{', is not there' if name in stream.offline else ''}"
                        for name, messages in stream.lagging
                    ),
                )
                for stream in kept
            ],
        )
    if lacks:
        raise Failure(
            f"Not every server has everything, {lacks}.",
            "Start the servers that are missing; give those that are there time: --wait 120.",
        )


def _place(directory: Path) -> tuple[Any, Any]:
    copies = deployment.module("deploy.production.copies")
    return deployment.module("deploy.production.directory").Directory(directory), copies

"""
A service for testing the starter: it connects as it is told, and says when it is ready.

What it is to do wrong stands in files beside its database: ``fails`` holds the exit code with which it ends at once.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

DATA = Path(os.environ["DEELNAME_DATA"])
PREFIX = "DEELNAME_"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readline()
    status = "200 OK" if request.startswith(b"GET /health/ready ") else "404 Not Found"
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    writer.close()


async def let_in(told: dict[str, str], prefix: str) -> None:
    """Say who we are to the broker, as its protocol has it: a client library would take longer to load than we run."""
    address = urlsplit(told[f"{prefix}NATS_URL"])
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    who = {"user": told[f"{prefix}NATS_USER"], "pass": told[f"{prefix}NATS_PASSWORD"], "verbose": False}
    writer.write(f"CONNECT {json.dumps(who)}\r\nPING\r\n".encode())
    await reader.readline()
    answer = await reader.readline()
    writer.close()
    if answer.strip() != b"PONG":
        sys.exit(f"the broker does not let us in: {answer!r}")


async def main() -> None:
    with (DATA / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    told = {key.removeprefix(PREFIX): value for key, value in os.environ.items() if key.startswith(PREFIX)}
    (DATA / "told.json").write_text(json.dumps(told))
    if (DATA / "fails").exists():
        print("this database is newer than the code", flush=True)
        sys.exit(int((DATA / "fails").read_text()))
    stopped = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stopped.set)
    for prefix in ("", "PARTNERS_"):
        if f"{prefix}NATS_URL" in told:
            await let_in(told, prefix)
    server = await asyncio.start_server(answer, told["HTTP_HOST"], int(told["HTTP_PORT"]))
    await stopped.wait()
    server.close()
    (DATA / "ended").write_text("in order")


asyncio.run(main())

"""
A service in three dozen lines, for testing the starter: it connects as it is told, and says when it is ready.

What it is to do wrong stands in files beside its database: ``fails`` holds the exit code with which it ends at once.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import nats

DATA = Path(os.environ["DEELNAME_DATA"])
PREFIX = "DEELNAME_"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readline()
    status = "200 OK" if request.startswith(b"GET /health/ready ") else "404 Not Found"
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    writer.close()


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
    connections = []
    for prefix in ("", "PARTNERS_"):
        if f"{prefix}NATS_URL" in told:
            connections.append(
                await nats.connect(
                    told[f"{prefix}NATS_URL"],
                    user=told[f"{prefix}NATS_USER"],
                    password=told[f"{prefix}NATS_PASSWORD"],
                    inbox_prefix=f"_INBOX_{told['NATS_NAME']}".encode(),
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.1,
                )
            )
    server = await asyncio.start_server(answer, told["HTTP_HOST"], int(told["HTTP_PORT"]))
    await stopped.wait()
    server.close()
    for connection in connections:
        await connection.close()
    (DATA / "ended").write_text("in order")


asyncio.run(main())

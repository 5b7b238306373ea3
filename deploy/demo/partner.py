"""
Another system that enrols people, as it could be written in any language.

It knows the wire contract and nothing of Deelname's code: it reads its access from ``endpoints.json``, puts each
message on ``intake.<partner>.<entity>.<verb>`` and reads the one answer that each has from the consumer of its own on
the stream OUTCOMES.

    python partner.py ENDPOINTS PARTNER FILE...          send everything, print each outcome as a line of JSON
    python partner.py --step ENDPOINTS PARTNER FILE...   announce each message and wait for "go" on standard input,
                                                         so that whoever tests can set the clock in between
"""

import asyncio
import json
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nats

PATIENCE = 30.0
"""Seconds that an outcome may take."""


def messages(paths: Sequence[str]) -> list[tuple[str, str, int, dict[str, Any], str]]:
    """Every line of the files as it stands, by the time that it gives; what is not JSON belongs to the line before."""
    found = []
    for path in paths:
        moment = ""
        for number, text in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            try:
                content = json.loads(text)
            except ValueError:
                content = {}
            # A message sent once more carries its first time; it is sent now all the same.
            moment = max(moment, content.get("time", moment))
            found.append((moment, path, number, content, text))
    return sorted(found, key=lambda message: message[:3])


def subject(partner: str, content: dict[str, Any]) -> str:
    """enrolment.request.v1 goes to intake.<partner>.enrolment.request."""
    words = content.get("type", "enrolment.request.v1").split(".")
    return f"intake.{partner}.{words[0]}.{words[1]}"


async def answer_to(outcomes: Any, content: dict[str, Any], number: int) -> dict[str, Any] | None:
    """The outcome of the message with this id, or with this number in our stream where it has no id."""
    while True:
        try:
            [message] = await outcomes.fetch(1, timeout=PATIENCE)
        except TimeoutError:
            return None
        outcome: dict[str, Any] = json.loads(message.data)
        await message.ack_sync(timeout=5)
        data = outcome["data"]
        if data.get("sequence") == number or ("sequence" not in data and data.get("request") == content.get("id")):
            return outcome


def tell(**words: object) -> None:
    """One line of JSON on standard output."""
    print(json.dumps(words, ensure_ascii=False), flush=True)


def options(endpoints: Path, partner: str) -> dict[str, Any]:
    """Where to connect, and where the address holds no password, what proves who we are and whom we believe."""
    access = json.loads(endpoints.read_text(encoding="utf-8"))["nats"][partner]
    found = {"servers": access["url"], "inbox_prefix": access["inbox_prefix"].encode(), "name": partner}
    if "nkey_seed_file" in access:
        found["nkeys_seed"] = str(endpoints.parent / access["nkey_seed_file"])
    if "ca_file" in access:
        found["tls"] = ssl.create_default_context(cafile=endpoints.parent / access["ca_file"])
    return found


async def main(access: dict[str, Any], partner: str, paths: Sequence[str], *, step: bool) -> None:
    """Send all messages in the order of their times, each after the answer to the one before."""
    connection = await nats.connect(**access)
    stream = connection.jetstream(timeout=5)
    outcomes = await stream.pull_subscribe_bind(partner, "OUTCOMES")
    for moment, path, number, content, text in messages(paths):
        about = {"file": path, "line": number, "id": content.get("id"), "time": moment}
        if step:
            tell(about_to_send=about)
            if (await asyncio.to_thread(sys.stdin.readline)).strip() != "go":
                break
        stored = await stream.publish(subject(partner, content), text.encode())
        tell(sent=about, outcome=await answer_to(outcomes, content, stored.seq))
    await connection.close()


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--step"]
    if len(words) < 3:
        sys.exit(__doc__)
    asyncio.run(main(options(Path(words[0]), words[1]), words[1], words[2:], step="--step" in sys.argv))

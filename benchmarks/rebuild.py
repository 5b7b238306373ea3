"""
Reports rebuilt from a long log, beside a bare ordered read of the same streams with the same decoding.

The probe is an ordered consumer of nats-py with a callback that calls ``contracts.facts.parse`` and does nothing with
the fact. The rebuild does the same reading, folds, writes every entity to a fresh database, synchronises it and swaps
it in; its time is that until the swap, and, in a second line, until the answer that compares the reports of before and
after. Both speak to the same broker with the permissions of production, in turn.

    python -m benchmarks.rebuild [--facts 200000] [--rounds 3] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
import statistics
import tempfile
import time
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts.facts import Fact, parse
from deploy.broker import RunningBroker, start_broker
from services.chassis.broker import connect
from services.chassis.relay import publish_batch
from services.reporting.app import readers
from services.reporting.projection import Projection
from services.reporting.rebuild import Rebuild
from services.reporting.store import STREAMS
from tests.plausible import grown, subject_and_body

_BATCH = 500
_SEED = 2023


def main() -> None:
    """Run the comparison and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--facts", type=int, default=200_000, help="how long both logs are together")
    arguments.add_argument("--rounds", type=int, default=3, help="how often both are measured in turn")
    arguments.add_argument("--profile", action="store_true", help="profile one rebuild and say what it does")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory, start_broker(Path(directory) / "nats", ["demo"]) as broker:
        asyncio.run(_compare(broker, Path(directory), options.facts, options.rounds, profile=options.profile))


async def _compare(broker: RunningBroker, directory: Path, facts: int, rounds: int, *, profile: bool) -> None:
    await _publish(broker, facts)
    connection = await _connected(broker, "reporting")
    projection = await Projection.open(directory / "reporting.db")
    following = [asyncio.create_task(reader.run()) for reader in readers(connection, projection).values()]
    heads = {stream: (await connection.jetstream().stream_info(stream)).state.last_seq for stream in STREAMS}
    total = sum(heads.values())
    started = time.perf_counter()
    await projection.reach(heads, 30)
    live = total / (time.perf_counter() - started)
    rebuild = Rebuild(connection, projection)
    probes, swaps, answers, processor = [], [], [], []
    for _ in range(rounds):
        burnt = time.process_time()
        probes.append(total / await _probe(connection, heads))
        probe_burnt = time.process_time() - burnt
        started = time.perf_counter()
        report = await rebuild()
        answers.append(total / (time.perf_counter() - started))
        swaps.append(total / report.seconds)
        processor.append(probe_burnt / (time.process_time() - burnt - probe_burnt))
        if not report.identical:
            raise SystemExit("the rebuilt reports differ from those before")
    probe, swap, answer = map(statistics.median, (probes, swaps, answers))
    print(f"{total} facts, medians of {rounds} rounds; the service following live: {live:,.0f} facts/s")
    print(f"{'bare ordered read':>20} {'rebuild to swap':>16} {'ratio':>6} {'with comparison':>16} {'ratio':>6}")
    print(f"{probe:>18,.0f}/s {swap:>14,.0f}/s {swap / probe:>6.2f} {answer:>14,.0f}/s {answer / probe:>6.2f}")
    print(f"processor time of the probe by that of the rebuild with its comparison: {statistics.median(processor):.2f}")
    if profile:
        profiler = cProfile.Profile()
        profiler.enable()
        await rebuild()
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    await connection.close()
    await projection.close()


async def _publish(broker: RunningBroker, facts: int) -> None:
    logs = grown(random.Random(_SEED).choice, facts, programmes=40, organisations=200)  # noqa: S311
    for service, log in (("registration", logs.registration), ("notifications", logs.notifications)):
        connection = await _connected(broker, service)
        for start in range(0, len(log), _BATCH):
            await publish_batch(connection, [_message(fact) for fact in log[start : start + _BATCH]])
        await connection.close()


def _message(fact: Fact) -> tuple[str, bytes, dict[str, str]]:
    subject, body = subject_and_body(fact)
    return subject, body, {"Nats-Msg-Id": fact.id}


async def _probe(connection: Client, heads: dict[str, int]) -> float:
    """Seconds for a bare ordered read of all streams, one after the other."""
    started = time.perf_counter()
    for stream, head in heads.items():
        done = asyncio.Event()

        async def receive(message: Msg, head: int = head, done: asyncio.Event = done) -> None:
            if parse(message.data).position == head:
                done.set()

        subscription = await connection.jetstream().subscribe(
            "", stream=stream, ordered_consumer=True, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        await done.wait()
        await subscription.unsubscribe()
    return time.perf_counter() - started


async def _connected(broker: RunningBroker, identity: str) -> Client:
    return await connect(broker.url(identity), identity)


if __name__ == "__main__":
    main()

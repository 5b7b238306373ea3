"""The streams, the bucket and the durable consumers that Deelname has, as data. ``topology.py`` declares them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    ReplayPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from contracts import subjects
from contracts.intake import LARGEST_OUTCOME
from deploy.identities import APPLICATION, CONTACTS_KEYS, CONTACTS_STREAM, PARTNERS

MEBIBYTE = 1024 * 1024
DAY = 24 * 3600.0

LARGEST_INTAKE_MESSAGE = MEBIBYTE
"""Bytes: whatever the broker takes, so that it is registration that refuses, with an outcome to read."""
INTAKE_BYTES = 128 * MEBIBYTE
"""What one partner may have waiting; then the broker refuses its requests until some are answered."""
INTAKE_MESSAGES = 200_000
"""Likewise, for many small ones: each costs the broker memory, however little it says."""
INTAKE_BATCH = 64
"""How many messages registration fetches at once: more are not handed out, so none grows old while it waits."""
ACK_WAIT = 30.0
"""Seconds after which a message that was handed out and not acknowledged is handed out again."""
OUTCOMES_KEPT = 30 * DAY
OUTCOMES_BYTES = 1024 * MEBIBYTE
"""What all answers to all partners take at most."""
OUTCOME_BYTES = LARGEST_OUTCOME + 512
"""What one takes at most in the stream's own counting: its body, headers, subject and what the broker adds."""
MOST_OUTCOMES_PER_SUBJECT = 100_000


def outcomes_per_subject(partners: int, room: int = OUTCOMES_BYTES) -> int:
    """
    How many accepted, and how many refused, each of so many partners may have among the answers.

    All of them together, each as heavy as an answer can be, have room: a partner that floods drops its own oldest
    answers and never another's.
    """
    # Two subjects for each, and the one message that the broker stores before it drops another for it.
    return min(MOST_OUTCOMES_PER_SUBJECT, max(1, (room // OUTCOME_BYTES - 1) // (2 * max(1, partners))))


@dataclass(frozen=True, slots=True)
class Stream:
    """
    A stream and the durable consumers on it.

    ``copied`` is one that its service fills again by itself, whatever is lost.
    """

    config: StreamConfig
    consumers: tuple[ConsumerConfig, ...] = ()
    copied: bool = False

    @property
    def name(self) -> str:
        """The stream's name."""
        if self.config.name is None:
            raise ValueError("a stream needs a name")
        return self.config.name


def _log(service: str, max_bytes: int, replicas: int) -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.log_stream(service),
            description=f"The facts of {service}, a copy of its own log with the same numbers",
            subjects=[subjects.log_subjects(service)],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            # A fact may never make room for a newer one: a full log stops its relay, and the relay says so.
            discard=DiscardPolicy.NEW,
            max_bytes=max_bytes,
            max_msg_size=MEBIBYTE,
            deny_delete=True,
            deny_purge=True,
            allow_direct=True,
            allow_atomic=True,
            duplicate_window=120.0,
            num_replicas=replicas,
        )
    )


def _contacts(replicas: int) -> Stream:
    """
    A bucket as nats-py would create it, but for the limits, for atomic batches of people, and for single revisions that
    may be deleted: nothing but a deletion overwrites what it removes.
    """
    return Stream(
        StreamConfig(
            name=CONTACTS_STREAM,
            description="Who a person id is: written by registration, read by notifications alone",
            subjects=[CONTACTS_KEYS],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            # As many as a bucket may have: registration erases the former ones before one would be dropped.
            max_msgs_per_subject=64,
            max_bytes=512 * MEBIBYTE,
            max_msg_size=64 * 1024,
            # As the last release erases.
            allow_rollup_hdrs=True,
            allow_direct=True,
            allow_atomic=True,
            duplicate_window=120.0,
            num_replicas=replicas,
        ),
        copied=True,
    )


def _intake(partner: str, ack_wait: float, replicas: int) -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.intake_stream(partner),
            description=f"Requests of {partner}, until registration has answered them",
            subjects=[subjects.intake_of(partner)],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            # The newest request is refused to its sender's face rather than the oldest dropped behind its back.
            discard=DiscardPolicy.NEW,
            max_bytes=INTAKE_BYTES,
            max_msgs=INTAKE_MESSAGES,
            max_msg_size=LARGEST_INTAKE_MESSAGE,
            max_consumers=1,
            duplicate_window=120.0,
            num_replicas=replicas,
        ),
        (
            ConsumerConfig(
                name=subjects.INTAKE_READER,
                durable_name=subjects.INTAKE_READER,
                description="Registration decides each request",
                deliver_policy=DeliverPolicy.ALL,
                replay_policy=ReplayPolicy.INSTANT,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ack_wait,
                # A crash counts as a delivery: with a limit the broker would give a request up without an answer.
                max_deliver=-1,
                max_ack_pending=INTAKE_BATCH,
            ),
        ),
    )


def _outcomes(partners: Sequence[str], former: Collection[str], ack_wait: float, replicas: int) -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.OUTCOMES_STREAM,
            description="One answer for each request of a partner",
            subjects=[subjects.outcomes()],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            # Old answers go first: a full stream must not keep registration from answering anyone.
            discard=DiscardPolicy.OLD,
            max_age=OUTCOMES_KEPT,
            max_bytes=OUTCOMES_BYTES,
            max_msgs_per_subject=outcomes_per_subject(len({*partners, *former})),
            max_msg_size=MEBIBYTE,
            allow_atomic=True,
            duplicate_window=120.0,
            num_replicas=replicas,
        ),
        tuple(
            ConsumerConfig(
                name=partner,
                durable_name=partner,
                description=f"{partner} reads its answers",
                filter_subject=subjects.outcomes_of(partner),
                deliver_policy=DeliverPolicy.ALL,
                replay_policy=ReplayPolicy.INSTANT,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ack_wait,
                max_deliver=-1,
                max_ack_pending=1000,
            )
            for partner in partners
        ),
    )


def streams_of(
    account: str,
    partners: Iterable[str],
    ack_wait: float = ACK_WAIT,
    replicas: int = 1,
    former: Collection[str] = (),
) -> tuple[Stream, ...]:
    """
    Every stream that an account is to have, each kept by so many servers of a cluster; consumers follow theirs.

    ``former`` partners have no streams any more, but answers that take their share of the room until they are too old.
    """
    names = tuple(partners)
    if account == APPLICATION:
        return (
            _log("registration", 4096 * MEBIBYTE, replicas),
            _log("notifications", 2048 * MEBIBYTE, replicas),
            _contacts(replicas),
        )
    if account == PARTNERS:
        return (*(_intake(name, ack_wait, replicas) for name in names), _outcomes(names, former, ack_wait, replicas))
    return ()

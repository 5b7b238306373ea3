"""Pieces of work for the writer, and what makes one that comes twice the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from contracts.problem import Problem, problem_type
from services.registration import store
from services.registration.batch import Batch
from services.registration.store import Answer


@dataclass(frozen=True, slots=True)
class Key:
    """
    What makes a request the same request: who sent it, its id, and a digest of what it says.

    ``earlier`` makes the digest as the last release did: a request may be repeated after an upgrade. ``until`` is when
    the answer may be forgotten: never, but for strangers, who can make up ids without end.
    """

    source: str
    id: str
    digest: bytes
    earlier: Callable[[], bytes] | None = None
    until: datetime | None = None

    def fits(self, digest: bytes) -> bool:
        """Whether a request that was remembered by ``digest`` said the same."""
        # Of a request that was read back after a backup was restored, only the answer is known: see recovery.py.
        return digest in (self.digest, b"") or (self.earlier is not None and digest == self.earlier())


def problem_answer(problem: Problem) -> Answer:
    """A problem as an answer."""
    return Answer(problem.status, problem.to_json())


TRY_AGAIN = problem_answer(
    Problem(
        type=problem_type("try-again"),
        title="Not stored",
        status=503,
        detail="The request could not be stored and has had no effect. Send it again, with the same id if it has one.",
    )
)
BROKEN = problem_answer(
    Problem(
        type=problem_type("unexpected"),
        title="Unexpected failure",
        status=500,
        detail="This request met a fault of ours and has had no effect. The service's log says more.",
    )
)


Work = Callable[[Batch], Answer]
"""
A piece of work: it runs on the database's thread and may be run again if the first transaction is undone.

What it raises is our fault and is answered with ``BROKEN``; what is wrong with a request, it answers itself.
"""


def once(batch: Batch, key: Key | None, work: Work) -> Answer:
    """Do keyed work the first time, and give the same answer from then on; refuse the key with other content."""
    if key is None:
        return work(batch)
    known = store.answered(batch.connection, key.source, key.id)
    if known is not None:
        digest, answer = known
        return answer if key.fits(digest) else _id_reused(key)
    answer = work(batch)
    if answer.final:
        store.remember_answer(batch.connection, key.source, key.id, key.digest, answer, until=key.until)
    return answer


def _id_reused(key: Key) -> Answer:
    return problem_answer(
        Problem(
            type=problem_type("id-reused"),
            title="The id was used before",
            status=409,
            detail=f"The id '{key.id}' came with another content before. Send a new request under a new id.",
        )
    )

"""Pieces of work for the writer, and what makes one that comes twice the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from contracts.problem import Problem, problem
from services.registration import store
from services.registration.batch import Batch
from services.registration.store import Answer

ID_REUSED = "id-reused"
"""The problem of a request whose id came with other content before."""


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


def problem_answer(told: Problem) -> Answer:
    """A problem as an answer."""
    return Answer(told.status, told.to_json())


TRY_AGAIN = problem_answer(
    problem(
        "try-again",
        "Not stored",
        503,
        "The request could not be stored and has had no effect. Send it again, with the same id if it has one.",
        "De aanvraag kon niet worden bewaard en heeft niets gedaan. Stuur haar nog eens, met hetzelfde id als ze er een"
        " heeft.",
    )
)
BROKEN = problem_answer(
    problem(
        "unexpected",
        "Unexpected failure",
        500,
        "This request met a fault of ours and has had no effect. The service's log says more.",
        "Er ging bij ons iets mis en de aanvraag heeft niets gedaan. Het log van de dienst zegt meer.",
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
        problem(
            ID_REUSED,
            "The id was used before",
            409,
            f"The id '{key.id}' came with other content before, and what was decided then stands. Nothing of this one"
            " was done: send it under a new id.",
            f"Het id '{key.id}' kwam al eerder, met een andere inhoud, en wat toen is besloten blijft staan. Met deze"
            " is niets gedaan: stuur haar onder een nieuw id.",
            field="id",
        )
    )

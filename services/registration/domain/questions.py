"""What is asked before a change is made, however few people hear of it: it may be a slip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from contracts.enrolment import Reason
from contracts.facts import RegistrationFact, SessionAdded, SessionCancelled, SessionMoved
from contracts.programme import Programme
from contracts.session import Session
from services.registration.domain.reasons import foresight
from services.registration.domain.telling import Told


def questions(
    before: Programme | None, facts: Sequence[RegistrationFact], told: Iterable[Told], now: datetime
) -> tuple[Reason, ...]:
    """
    Why the facts need a yes: people would be told that a session is off, which may be another id or a wrong year.

    Args:
        before: the definition before the facts.
        told: whom the facts would be mailed to.
    """
    if before is None:
        return ()
    added = [fact.session for fact in facts if isinstance(fact, SessionAdded)]
    asked = []
    for one in told:
        match one.fact:
            case SessionCancelled(session=id_) if (gone := before.session(id_)) is not None:
                asked.append(_off(gone, added, len(one.people)))
            case SessionMoved(session=id_, after=after) if after.is_over(now):
                if (session := before.session(id_)) is not None:
                    asked.append(foresight.told_off_by_date(session.moved(after), len(one.people)))
    return tuple(asked)


def _off(gone: Session, added: Iterable[Session], people: int) -> Reason:
    alike = [(same, session) for session in added if (same := _same(gone, session))]
    if not alike:
        return foresight.told_off(gone, people)
    same, session = max(alike, key=lambda pair: len(pair[0]))
    return foresight.renamed(gone, session, same, people)


def _same(one: Session, other: Session) -> tuple[str, ...]:
    """In what two sessions look like one."""
    found = []
    if _words(one) & _words(other):
        found.append("title")
    if one.begins is not None and (one.begins, one.finishes) == (other.begins, other.finishes):
        found.append("time")
    return tuple(found)


def _words(session: Session) -> set[str]:
    return {" ".join(title.split()).casefold() for title in (session.title.nl, session.title.en)}

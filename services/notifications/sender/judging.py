"""What becomes of a mail: the last look before it goes out, and what a server's answer makes of it. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from contracts.facts import DeliveryVerdict, MailFailed, MailSent
from services.chassis.state import State
from services.notifications.contacts import Absence
from services.notifications.domain import (
    Planned,
    Pointless,
    Unread,
    enrolment_of,
    invitation_of,
    obstacle,
    settle,
    to_tell,
)
from services.notifications.domain.mails import ABOUT_REQUESTS
from services.notifications.store import Due, News, Outcome
from services.notifications.transport import next_try
from services.notifications.transport import outcomes as transport_outcomes

UNKNOWN_PERSON_WAIT = timedelta(seconds=30)
UNKNOWN_PERSON_PATIENCE = timedelta(hours=24)
OLD_NEWS = timedelta(hours=24)
"""After which nobody wants to read any more what became of a request that a stranger may have sent."""


@dataclass(slots=True)
class Verdicts:
    """What became of mails, and the facts that others should know, until both are stored."""

    outcomes: list[Outcome] = field(default_factory=list)
    news: list[News] = field(default_factory=list)

    def add(self, outcome: Outcome, fact: News | None = None) -> None:
        """Note what became of one mail."""
        self.outcomes.append(outcome)
        if fact is not None:
            self.news.append(fact)


def look_again(state: State, batch: Sequence[Due], now: datetime, verdicts: Verdicts) -> list[Due]:
    """What should still go out; what should not goes to the verdicts."""
    sound = []
    for due in (_with_news(state, each, now) for each in batch):
        reason = obstacle(state, due.mail, now) or _superfluous(due)
        said = Pointless(reason) if reason is not None else _settled(state, due, now)
        if isinstance(said, Pointless):
            verdicts.add(Outcome(due.ordinal, "dropped", said.reason))
        elif isinstance(said, Unread):
            continue
        else:
            sound.append(_worded(due, said))
    return sound


def _with_news(state: State, due: Due, now: datetime) -> Due:
    """Of what the person answered, what the contact should still hear."""
    return due._replace(answers=to_tell(state, due.mail.programme, due.mail.person, due.answers, now))


def _superfluous(due: Due) -> str | None:
    if due.mail.purpose == "declined" and due.raw is None and not due.answers:
        return "nothing differs from what the contact was told"
    if due.mail.purpose == "readdressed" and due.told_at is None:
        return "nothing that holds went to an earlier address, or nothing goes there any more"
    return "a later mail about this session went out already" if due.overtaken else None


def _settled(state: State, due: Due, now: datetime) -> Planned | Pointless | Unread:
    if due.mail.detail.appointment is None:
        return due.mail
    item = invitation_of(state, due.mail.programme, due.mail.person, due.mail.session or "")
    return settle(item, due.mail, due.history, now)


def _worded(due: Due, mail: Planned) -> Due:
    """With bytes from an earlier attempt only as long as they say what is to be said now."""
    if mail is due.mail:
        return due
    own, appointment = due.history.own, mail.detail.appointment
    # Up to which change it goes stands in no mail.
    if appointment is None or own is None or replace(own.appointment, change=appointment.change) == appointment:
        return due._replace(mail=mail)
    return due._replace(mail=mail, raw=None)


def of_use_until(state: State, due: Due) -> datetime | None:
    """Until when there is any point in sending a mail that anybody may have caused; None for always."""
    mail = due.mail
    enrolment = enrolment_of(state, mail.programme, mail.enrolment) if mail.enrolment else None
    awaited = enrolment.waits_for(mail.person) if enrolment else None
    if mail.purpose == "confirmation-request" and awaited is not None:
        return awaited.confirm_by
    return due.planned_at + OLD_NEWS if mail.purpose in ABOUT_REQUESTS else None


def late(due: Due, reason: str) -> Outcome:
    """A mail whose turn comes when it is of use to nobody."""
    return Outcome(due.ordinal, "dropped", f"it would come too late ({reason})")


def absent(due: Due, absence: Absence, now: datetime) -> Outcome:
    """What becomes of a mail to somebody whose name and address are not there."""
    if absence is Absence.ERASED:
        return Outcome(due.ordinal, "dropped", "the person was erased")
    if now - due.planned_at > UNKNOWN_PERSON_PATIENCE:
        return Outcome(due.ordinal, "dropped", "nobody knows who the person is")
    return Outcome(due.ordinal, "planned", "who the person is, is not known yet", due_at=now + UNKNOWN_PERSON_WAIT)


def judge(due: Due, answer: transport_outcomes.Outcome, now: datetime) -> tuple[Outcome, News | None]:
    """What a server's answer makes of a mail, and the fact that others should know."""
    match answer:
        case transport_outcomes.Sent(reply):
            return Outcome(due.ordinal, "sent", str(reply)), _news(due, MailSent.made(**_named(due)))
        case transport_outcomes.Retry(reply):
            at = next_try(answer, now=now, first=due.first_at or now, not_after=_not_after(due))
            if at is None:
                return Outcome(due.ordinal, "failed", f"given up: {reply}"), failed(due, "given-up")
            return Outcome(due.ordinal, "planned", str(reply), due_at=at, reached=not answer.unreached), None
        case transport_outcomes.Failed(reply, verdict):
            return Outcome(due.ordinal, "failed", str(reply), verdict=verdict), failed(due, "refused", verdict)
        case transport_outcomes.Fault(reply):
            return Outcome(due.ordinal, "planned", str(reply), due_at=now, uncounted=True), None
        case transport_outcomes.Uncertain(reason):
            return Outcome(due.ordinal, "uncertain", reason), failed(due, "uncertain")


def _not_after(due: Due) -> datetime | None:
    """
    An invitation is of no use once the session has begun, and the calendar shows none that is to begin.

    Of a day whose time is not known, nobody can say that it has begun until it is over.
    """
    if due.mail.detail.appointment is None:
        return None
    appointment = due.mail.detail.appointment
    shown = [each for each in (appointment.occasion, appointment.before) if each is not None]
    begun = [each.finishes if each.all_day else each.begins for each in shown]
    return max((each for each in begun if each is not None), default=None)


def _named(due: Due) -> dict[str, str | None]:
    mail = due.mail
    return {
        "mail": mail.id,
        "purpose": mail.purpose,
        "person": mail.person,
        "enrolment": mail.enrolment,
        "session": mail.session,
        "copy_of": mail.copy_of,
    }


def failed(due: Due, cause: str, verdict: DeliveryVerdict | None = None) -> News:
    """The fact that a mail did not arrive, as far as we know."""
    return _news(due, MailFailed.model_validate({**_named(due), "cause": cause, "verdict": verdict}))


def _news(due: Due, fact: MailSent | MailFailed) -> News:
    return News(due.mail.programme, fact, due.trace, due.actor)


def jitter(mail: str, attempt: int) -> float:
    """From -1 to 1, another for every mail and attempt, and the same whoever computes it."""
    return zlib.crc32(f"{mail} {attempt}".encode()) / 0x7FFFFFFF - 1

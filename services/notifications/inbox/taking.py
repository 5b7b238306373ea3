"""What one mail that came in says about our mails, and what follows from it, inside its transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from sqlite3 import Connection

from contracts.base import same_address
from contracts.facts import InvitationAnswer, InvitationAnswered, MailBounced
from contracts.queries import ReceivedKind
from services.notifications import store
from services.notifications.domain import given, overtakes
from services.notifications.domain.failures import Failure, about, reported
from services.notifications.domain.mails import TO_CONTACT
from services.notifications.incoming.content import Answered, Automatic, OddReport, Read, Reply, Report, Unclear
from services.notifications.return_path import ReturnPaths
from services.notifications.store import Mailed, News

_ANSWERS: dict[str, InvitationAnswer] = {"ACCEPTED": "accepted", "TENTATIVE": "tentative", "DECLINED": "declined"}


class TryLater(Exception):  # noqa: N818
    """The mail can't be taken at this moment; whoever has it keeps it and comes again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was made of a mail; ``kept`` says that its bytes are, for a person."""

    kind: ReceivedKind
    note: str
    mail: Mailed | None = None
    kept: bool = False


class Taking:
    """
    One mail being taken, inside its transaction.

    Attributes:
        key: that of fingerprints.
        known: whether the very same mail was taken before.
    """

    def __init__(
        self,
        connection: Connection,
        return_paths: ReturnPaths,
        found: Read,
        recipient: str | None,
        *,
        now: datetime,
        actor: str | None,
        hold: timedelta,
    ) -> None:
        self._connection = connection
        self._return_paths = return_paths
        self._found = found
        self._recipient = recipient
        self._now = now
        self._actor = actor
        self._hold = hold
        self.key = store.key(connection)
        self.known = False

    def verdict(self) -> Verdict:
        """
        What is made of the mail; when this returns, what follows from it is done.

        Raises:
            TryLater: the mail that it is about is under way.
        """
        content = self._found.content
        match content:
            case Report() | OddReport():
                return self._reported(content)
            case Reply():
                return self._replied(content)
            case Automatic(what):
                return Verdict("automatic", what, self._addressed())
            case Unclear(why, uids):
                about = next((mail for uid in uids if (mail := store.mail_of_item(self._connection, uid))), None)
                return Verdict("unknown", why, about or self._addressed(), kept=True)

    # Bounces ----------------------------------------------------------------------------------------------------------

    def _addressed(self) -> Mailed | None:
        """The mail whose envelope sender this mail goes to."""
        # The envelope is the relay's word; headers are anybody's, but nobody else can make one of our addresses.
        for address in self._found.recipients if self._recipient is None else (self._recipient,):
            id_ = self._return_paths.mail(address)
            if id_ is not None and (mail := store.mail_of_id(self._connection, id_)) is not None:
                return mail
        return None

    def _returned(self, report: Report | OddReport) -> Mailed | None:
        """
        The mail that a report returns, if it reports on the very address that this mail went to.

        Whoever got one of our mails knows its Message-ID; a report about somebody else's address is not theirs to make.
        """
        addresses = {same_address(address) for each in reported(report) for address in each.addresses}
        for message_id in report.message_ids:
            mail = store.mail_of_message(self._connection, message_id)
            if mail is not None and mail.recipient is not None and same_address(mail.recipient) in addresses:
                return mail
        return None

    def _reported(self, report: Report | OddReport) -> Verdict:
        mail = self._addressed() or self._returned(report)
        if mail is None:
            return Verdict("unknown", "a report about a mail that we do not know", kept=True)
        said = about(report, mail.recipient)
        if said.done == "delayed":
            return Verdict("delayed", f"the mail server still tries{said.coded}", mail)
        if said.done == "other":
            return Verdict("automatic", f"a report that the mail was {said.action[:20]}", mail)
        if said.verdict is None:
            return Verdict("unknown", "a mail system says something that is not understood", mail, kept=True)
        if mail.status == "sending":
            raise TryLater("the mail that this is about is still under way")
        if mail.status not in ("sent", "uncertain"):
            return Verdict("bounce", f"about a mail that is {mail.status} already{said.coded}", mail)
        return self._failed(mail, said)

    def _failed(self, mail: Mailed, failure: Failure) -> Verdict:
        assert failure.verdict is not None  # noqa: S101  (narrows for the type checker: see the only caller)
        address = store.fingerprint(self.key, mail.recipient) if mail.recipient else None
        # Who was erased, or whose mail is old, has no address here: nothing may be kept that could quote one.
        said = f" {failure.said}" if mail.recipient else ""
        store.bounced(self._connection, mail, f"bounced{failure.coded}{said}")
        reason = store.count_failure(
            self._connection,
            mail=mail.ordinal,
            address=address,
            person=None if mail.purpose in TO_CONTACT else mail.person,
            source="bounce",
            status=failure.status,
            verdict=failure.verdict,
            now=self._now,
        )
        fact = MailBounced(
            mail=mail.id,
            purpose=mail.purpose,
            person=mail.person,
            enrolment=mail.enrolment,
            session=mail.session,
            status=failure.status,
            suppressed=bool(reason),
            verdict=failure.verdict,
        )
        store.append(self._connection, [News(mail.programme, fact, actor=self._actor)], self._now)
        why = reason or ("because of us, not of the address" if failure.verdict == "ours" else "")
        return Verdict("bounce", f"the mail came back{failure.coded}{f': {why}' if why else ''}", mail)

    # Answers to invitations -------------------------------------------------------------------------------------------

    def _replied(self, reply: Reply) -> Verdict:
        verdicts = [self._answered(reply.sender, each, reply.date) for each in reply.answers]
        return next((each for each in verdicts if each.kept), verdicts[-1])

    def _answered(self, sender: str | None, said: Answered, date: datetime | None) -> Verdict:
        """One answer, by the rules of RFC 5546 §2.1.5 and §3.2.3 and those that keep others from answering."""
        mail = store.mail_of_item(self._connection, said.uid)
        if mail is None or mail.enrolment is None or mail.session is None:
            return Verdict("unknown", "an answer to an invitation that we do not know", kept=True)
        invited = same_address(mail.recipient) if mail.recipient is not None else None
        if same_address(said.attendee) != invited:
            return Verdict("unknown", "an answer for somebody who was not invited so", mail, kept=True)
        if sender is None or same_address(sender) != invited:
            return Verdict("unknown", "an answer that somebody else sent", mail, kept=True)
        answer = _ANSWERS.get(said.partstat)
        if answer is None:
            other = said.partstat == "DELEGATED"
            why = (
                "somebody wants to send somebody else"
                if other
                else "an answer that is neither yes, nor no, nor perhaps"
            )
            return Verdict("unknown", why, mail, kept=True)
        history = store.said_of(self._connection, said.uid)
        sequence = history.told.appointment.sequence if history.told else 0
        if said.sequence < sequence:
            return Verdict("reply", "an answer to what the invitation said before", mail)
        # Nobody can have seen a higher one: it must not make later answers look old.
        when = given(sequence, said.stamp, said.replied or date, invited=history.stamp, arrived=self._now)
        before = store.answer_of(self._connection, said.uid)
        if before is not None and (self.known or not overtakes(when, before.given)):
            return Verdict("reply", "an answer that a later one replaced, or that is known", mail)
        changed = before is None or before.answer != answer
        # The same answer once more, from another device or by another way, takes no words back.
        words = said.words or ("" if before is None or changed else before.words)
        store.put_answer(self._connection, said.uid, mail.ordinal, store.Answer(answer, when, words))
        if changed:
            fact = InvitationAnswered(enrolment=mail.enrolment, session=mail.session, person=mail.person, answer=answer)
            store.append(self._connection, [News(mail.programme, fact, actor=self._actor)], self._now)
            store.tell_answer(self._connection, said.uid, mail.ordinal, self._now, self._hold)
        return Verdict("reply", answer, mail)

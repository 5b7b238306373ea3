"""What comes in: facts to plan mails from, and what staff ask and tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from sqlite3 import Connection

import structlog

from contracts.base import same_address
from contracts.commands import ResendMail, ResentMail, RetriedMail, RetryMail
from contracts.enrolment import KnownPerson
from contracts.facts import ParticipantConfirmed, PersonCorrected, PersonErased, parse
from contracts.problem import Problem, ProblemError, not_found, problem_type
from contracts.queries import (
    MailList,
    MailPreview,
    MailPreviewQuestion,
    MailsExport,
    MailsQuestion,
    MailStatus,
    PersonQuestion,
)
from services.chassis.clock import Clock
from services.chassis.commands import Call
from services.chassis.database import Database
from services.chassis.identity import new_id
from services.chassis.reader import Message, load_position
from services.chassis.state import State
from services.notifications import message, store
from services.notifications.contacts import ReadsContacts, for_staff
from services.notifications.domain import NOTHING, Planned, foretold, programme_of, step, with_told
from services.notifications.domain.mails import copy_id
from services.notifications.preview import DoesNotFit, imagined, imagined_answers
from services.notifications.rendering import Renderer
from services.notifications.writing import NothingToSay, Writer

_log = structlog.get_logger("notifications.handlers")

_EXPORTED = {"each": 20_000, "together": 200_000, "most": 500}
"""Octets of mails that came back, and their number: what strangers wrote must leave room for the rest of an answer."""


class Planner:
    """
    Folds registration's facts and plans the mails that they call for.

    Args:
        planned: called after mails were planned.
        quiet_until: facts up to this position change the state and are mailed to nobody.
        hold: how long a changed session waits for further changes.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        planned: Callable[[], None] = lambda: None,
        *,
        quiet_until: int = 0,
        hold: timedelta = timedelta(),
    ) -> None:
        self._database = database
        self._clock = clock
        self._planned = planned
        self._quiet_until = quiet_until
        self._hold = hold
        self._state = State()
        self._doubt_until = 0

    @property
    def state(self) -> State:
        """The state as it stands after the last batch of facts."""
        return self._state

    async def load(self) -> None:
        """Take up the state that was saved last."""
        self._state, _ = await self._database.run(store.load)
        self._doubt_until = await self._database.run(store.doubtful_until)

    async def position(self) -> int:
        """The position up to which facts were folded."""
        return await self._database.run(lambda raw: load_position(raw, store.FACTS))

    async def apply(self, messages: Sequence[Message]) -> None:
        """
        Fold facts and plan mails, in one transaction with the position; when it raises, nothing has happened.

        Raises:
            pydantic.ValidationError: a fact is not what its type promises.
        """
        state = self._state
        planned: list[tuple[int, Planned]] = []
        people: list[tuple[int, PersonErased | PersonCorrected | ParticipantConfirmed]] = []
        traces: dict[int, str] = {}
        for each in messages:
            fact = parse(each.body)
            state, mails = step(state, fact)
            if each.position > self._quiet_until:
                planned += [(each.position, mail) for mail in mails]
                if fact.traceparent is not None:
                    traces[each.position] = fact.traceparent
            if isinstance(fact.data, PersonErased | PersonCorrected | ParticipantConfirmed):
                people.append((each.position, fact.data))
        now = self._clock()

        def record(raw: Connection) -> None:
            store.record(raw, messages[-1].position, state, planned, now, hold=self._hold, traces=traces)
            for position, data in people:
                match data:
                    case PersonErased(person=person):
                        store.erase(raw, person)
                    case PersonCorrected(person=person, changed=changed):
                        store.forget_bytes(raw, person, position, readdressed="email" in changed)
                    case ParticipantConfirmed(person=person):
                        store.known(raw, person, now)
            if messages[0].position <= self._doubt_until:
                store.doubt(raw, now)

        await self._database.transact(record)
        self._state = state.settled()
        if any(isinstance(data, PersonErased) for _, data in people):
            self._database.forget_soon()
            await self._database.forget()
        if planned:
            self._planned()


class Desk:
    """
    Answers staff.

    Args:
        state: the fold as it stands.
        prod: called when a mail is due again.
    """

    def __init__(
        self,
        database: Database,
        *,
        state: Callable[[], State],
        contacts: ReadsContacts,
        renderer: Renderer,
        clock: Clock,
        prod: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._state = state
        self._contacts = contacts
        self._renderer = renderer
        self._clock = clock
        self._prod = prod

    async def list_mails(self, call: Call) -> MailList:
        """``ask.notifications.mail.list``: mails and their fate."""
        return await self.mails(call.parse(MailsQuestion))

    async def mails(self, question: MailsQuestion) -> MailList:
        """Mails that meet all conditions, the newest first."""
        found = await self._database.run(
            lambda raw: store.mails(
                raw,
                question.limit,
                programme=question.programme,
                enrolment=question.enrolment,
                person=question.person,
                status=question.status,
            )
        )
        return MailList(mails=tuple(found))

    async def preview_mail(self, call: Call) -> MailPreview:
        """``ask.notifications.mail.preview``: how a mail would look now."""
        return await self.preview(call.parse(MailPreviewQuestion))

    async def preview(self, question: MailPreviewQuestion) -> MailPreview:
        """
        How a mail would look now; nothing is sent or stored.

        Raises:
            ProblemError: the enrolment is not known, the purpose does not fit it, or the person is gone.
        """
        state, now = self._state(), self._clock()
        programme = programme_of(state, question.enrolment)
        if programme is None:
            raise ProblemError(not_found("enrolment", question.enrolment))
        try:
            mail = await self._foretold(imagined(state, programme, question, now), now)
            answers = imagined_answers(state, mail, question.session, now)
            person = await self._person(mail.person)
            answered = bool(await self._database.run(lambda raw: store.answers(raw, mail.person)))
            said = Writer(state, now).letter(mail, person, question.language, answered=answered, answers=answers)
            rendered = self._renderer.render(said)
        except (DoesNotFit, NothingToSay) as error:
            raise ProblemError(_does_not_fit(str(error))) from None
        sender = self._renderer.sender
        raw = message.compose(
            rendered,
            said,
            sender=sender,
            message_id=message.message_id(mail.id, person.email, sender.mailbox.rpartition("@")[2]),
            date=now,
        )
        return MailPreview(
            subject=rendered.subject,
            to=said.recipient.mailbox,
            text=rendered.text,
            html=rendered.html,
            calendar=rendered.calendar.decode() if rendered.calendar else None,
            raw=raw.decode(),
        )

    async def _foretold(self, mail: Planned, now: datetime) -> Planned:
        """The mail as it would go out: against what its person was told last."""
        appointment = mail.detail.appointment
        uids = {each.uid for each in mail.detail.taken if each.uid} | ({appointment.uid} if appointment else set())
        if not uids:
            return mail
        told = await self._database.run(lambda raw: store.histories(raw, uids))
        if appointment is not None:
            return foretold(mail, told.get(appointment.uid, NOTHING), now)
        return with_told(mail, told, now)

    async def _person(self, id_: str) -> KnownPerson:
        contact = await for_staff(self._contacts, id_)
        if not isinstance(contact, KnownPerson):
            raise ProblemError(
                Problem(
                    type=problem_type("gone"),
                    title="Nobody knows who this person is",
                    status=410,
                    detail=f"There is no contact for person {id_}: was the person erased?",
                )
            )
        return contact

    async def export_person(self, call: Call) -> MailsExport:
        """``ask.notifications.person.export``: everything that notifications keeps about a person."""
        return await self.export(call.parse(PersonQuestion))

    async def export(self, question: PersonQuestion) -> MailsExport:
        """
        Every mail to a person, and those bytes of them that are still kept (GDPR art. 15).

        Raises:
            ProblemError: neither person nor address is given, or no mail is known under the address.
        """
        person = question.person or await self._addressee(question.email)

        def read(raw: Connection) -> MailsExport:
            return MailsExport(
                person=person,
                mails=tuple(store.mails(raw, store.ALL, person=person)),
                messages=tuple(store.messages(raw, person)),
                received=tuple(
                    _in_words(each)
                    for each in store.received_about(raw, person, store.addresses(raw, person), **_EXPORTED)
                ),
                suppressed=tuple(store.suppressions(raw, person)),
                answers=tuple(store.answers(raw, person)),
            )

        return await self._database.run(read)

    async def _addressee(self, email: str | None) -> str:
        if email is None:
            raise ProblemError(
                Problem(
                    type=problem_type("invalid"),
                    title="The request is not valid",
                    status=422,
                    detail="Name the person by 'person' (an id) or by 'email'.",
                )
            )
        wanted = same_address(email)
        people = await self._database.run(
            lambda raw: store.people_with_address(raw, lambda address: same_address(address) == wanted)
        )
        if len(people) != 1:
            raise ProblemError(
                Problem(
                    type=problem_type("ambiguous" if people else "not-found"),
                    title="Several people share this address" if people else "No such person",
                    status=409 if people else 404,
                    detail=(f"{len(people)} people were mailed at this address. " if people else "")
                    + "Ask registration for the person's id and use that.",
                )
            )
        return people[0]

    async def retry_mail(self, call: Call) -> RetriedMail:
        """``do.notifications.mail.retry``: send a mail once more that failed or whose fate is unknown."""
        return await self.retry(call.parse(RetryMail), call.actor)

    async def retry(self, command: RetryMail, actor: str | None = None) -> RetriedMail:
        """
        Make a mail due again. A mail that is due already stays so: to repeat the command is harmless.

        Raises:
            ProblemError: there is no such mail, or it went out, or nobody should get it any more.
        """
        now = self._clock()

        def again(raw: Connection) -> MailStatus | None:
            found = store.retry(raw, command.mail, now, actor)
            if found is not None:
                # Whoever asks has mended what could not be reached.
                store.release(raw, now)
            return found

        status = await self._database.transact(again)
        if status is None:
            raise ProblemError(not_found("mail", command.mail))
        if status in ("sent", "dropped"):
            detail = {
                "sent": "It was sent. Whoever should have it once more gets a new copy on purpose: 'mail resend'.",
                "dropped": "It was dropped because it was no longer true; 'answer' in the list of mails says why.",
            }
            raise _conflict("The mail cannot be sent again", detail[status])
        self._prod()
        return RetriedMail(mail=command.mail)

    async def resend_mail(self, call: Call) -> ResentMail:
        """``do.notifications.mail.resend``: send a new copy of a mail that went out."""
        return await self.resend(call.parse(ResendMail), call.actor)

    async def resend(self, command: ResendMail, actor: str | None = None) -> ResentMail:
        """
        Plan a new copy, the same one for the same id of the command.

        Raises:
            ProblemError: there is no such mail, or it never went out.
        """
        now = self._clock()
        copy = copy_id(command.mail, command.id or new_id())
        status = await self._database.transact(lambda raw: store.resend(raw, command.mail, copy, now, actor))
        if status is None:
            raise ProblemError(not_found("mail", command.mail))
        if status != "sent":
            detail = {
                "planned": "It has not gone out yet: it will, by itself.",
                "sending": "It is going out at this moment.",
                "dropped": "It never went out, because it was no longer true; 'answer' in the list of mails says why.",
            }
            raise _conflict(
                "There is nothing to copy",
                detail.get(status, "It did not arrive, as far as we know: send it again by 'mail retry'."),
            )
        self._prod()
        return ResentMail(mail=copy, copy_of=command.mail)


class Archivist:
    """Forgets what mails said once nobody needs to know any more."""

    def __init__(self, database: Database, clock: Clock, *, archive_days: int, inbox_days: int) -> None:
        self._database = database
        self._clock = clock
        self._archived = timedelta(days=archive_days)
        self._received = timedelta(days=inbox_days)

    async def tidy(self) -> None:
        """Empty the archive of mails that were planned too long ago, and the list of what came back long ago."""
        now = self._clock()

        def forget(raw: Connection) -> tuple[int, int]:
            return (
                store.forget_old_bytes(raw, now - self._archived),
                store.forget_old_received(raw, now - self._received),
            )

        mails, received = await self._database.transact(forget)
        if mails or received:
            self._database.forget_soon()
            _log.info("old mails forgotten", mails=mails, received=received)


def _in_words(kept: store.Kept) -> str:
    text = kept.beginning.decode("utf-8", "replace")
    if len(kept.beginning) == kept.size:
        return text
    return f"{text}\n[{kept.size} octets; 'deelname mail received {kept.number} --raw FILE' writes all of it]"


def _conflict(title: str, detail: str) -> ProblemError:
    return ProblemError(Problem(type=problem_type("conflict"), title=title, status=409, detail=detail))


def _does_not_fit(detail: str) -> Problem:
    return Problem(
        type=problem_type("does-not-fit"),
        title="This mail does not fit the enrolment",
        status=409,
        detail=f"{detail[:1].upper()}{detail[1:]}.",
    )

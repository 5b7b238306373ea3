"""
Message in, work handed to the writer, answer out: no rule, no SQL and no subject stands here.

``programmes``, ``enrolments`` and ``people`` make pieces of work out of commands, ``queries`` answers questions,
``messages`` reads what other systems send and ``intake`` takes it in. :class:`Handlers` binds them to the writer, the
clock and new ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel

from contracts.commands import (
    AddParticipant,
    ChangeParticipant,
    CloseProgramme,
    Command,
    ConfirmEnrolment,
    CorrectPerson,
    CreateToken,
    ErasePerson,
    PromoteEnrolment,
    PublishProgramme,
    PublishTheme,
    RegisterOrganisations,
    RequestEnrolment,
    RevokeToken,
    WithdrawEnrolment,
    WithdrawParticipant,
    WithdrawProgramme,
)
from contracts.problem import Problem
from contracts.queries import (
    AddressQuestion,
    EnrolmentQuestion,
    EnrolmentsQuestion,
    Everything,
    LogQuestion,
    PeopleExpiringQuestion,
    PersonQuestion,
    ProgrammeQuestion,
)
from services.chassis.access import Caller
from services.chassis.clock import Clock
from services.chassis.commands import Call, Handler
from services.chassis.identity import new_id
from services.registration.batch import Batch
from services.registration.handlers import answers, enrolments, people, programmes, queries, tokens
from services.registration.handlers.enrolments import Arrival
from services.registration.handlers.owning import not_theirs
from services.registration.handlers.repetition import key_of
from services.registration.handlers.retention import Retention
from services.registration.store import Answer
from services.registration.work import Work, problem_answer
from services.registration.writer import Writer

Body = TypeVar("Body", bound=BaseModel)
Asked = TypeVar("Asked", bound=Command)

STAFF = "staff"
_TOLD_WITHIN = 2.0
"""Seconds that the answer to a revocation waits for the broker; those who ask wait for five and more."""


def answering(call: Call) -> Callable[[Answer], None]:
    """How a call is answered once the work is done."""

    def answer(given: Answer) -> None:
        if given.failed:
            call.fail(Problem.model_validate_json(given.body))
        else:
            call.reply(given.body)

    return answer


def _source(caller: Caller | None) -> str:
    """
    Whose ids these are. Over HTTP each has their own: the stored answer to an id is given before anything is asked.
    """
    if caller is None or caller.kind == "broker":
        return STAFF
    return f"{STAFF}/{hashlib.sha256(f'{caller.kind}:{caller.name}'.encode()).hexdigest()[:32]}"


def done_by(caller: Caller | None, body: BaseModel, work: Work) -> Work:
    """Work for somebody of the staff: refused where it is not theirs to do, and named in every fact that it makes."""
    if caller is None:
        return work

    def attributed(batch: Batch) -> Answer:
        problem = not_theirs(batch, caller, body, STAFF)
        if problem is not None:
            # Not for ever: a programme may be given to other organisers.
            return problem_answer(problem)._replace(final=False)
        return batch.work_for(caller, work)

    return attributed


class Handlers:
    """The handlers of ``do.registration.>`` and ``ask.registration.>``."""

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        retention: Retention,
        most_unconfirmed: int,
        told: Callable[[float], Awaitable[bool]],
        *,
        smtputf8: bool = False,
    ) -> None:
        """
        ``most_unconfirmed`` people are mailed by one command without a confirmation; ``told`` is the relay's, and says
        whether other services can know of what was decided; ``smtputf8``: see ``Settings``.
        """
        self._smtputf8 = smtputf8
        self._told = told
        self._most_unconfirmed = most_unconfirmed
        self._writer = writer
        self._clock = clock
        self._retention = retention

    def _command(self, model: type[Asked], make: Callable[[Asked, datetime], Work]) -> Handler:
        """Parse, make the work, hand it on and return: the writer answers after the commit."""

        def handle(call: Call) -> None:
            body = call.parse(model)
            work = done_by(call.caller, body, make(body, self._clock()))
            same = key_of(_source(call.caller), body.id, body, model.__name__) if body.id else None
            people = [asking.person for asking in body.participants] if isinstance(body, RequestEnrolment) else []
            self._writer.submit(work, answering(call), same, people)

        return handle

    def _question(self, model: type[Body], answer: Callable[[Batch, Body, datetime], Answer]) -> Handler:
        async def handle(call: Call) -> None:
            body = call.parse(model)
            now = self._clock()
            caller = call.caller

            def look(batch: Batch) -> Answer:
                problem = not_theirs(batch, caller, body, STAFF)
                return problem_answer(problem) if problem else answer(batch, body, now)

            answering(call)(await self._writer.read(look))

        return handle

    def _arrival(self, command: Command, now: datetime) -> Arrival:
        return Arrival(now, "staff", STAFF, command.id, new_id, smtputf8=self._smtputf8)

    def publish_programme(self) -> Handler:
        """``do.registration.programme.publish``."""
        return self._command(
            PublishProgramme,
            lambda body, now: programmes.publish(body, now, self._most_unconfirmed, smtputf8=self._smtputf8),
        )

    def close_programme(self) -> Handler:
        """``do.registration.programme.close``."""
        return self._command(CloseProgramme, lambda body, now: programmes.close(body, now, self._most_unconfirmed))

    def withdraw_programme(self) -> Handler:
        """``do.registration.programme.withdraw``."""
        return self._command(
            WithdrawProgramme, lambda body, now: programmes.withdraw(body, now, self._most_unconfirmed)
        )

    def publish_theme(self) -> Handler:
        """``do.registration.theme.publish``."""
        return self._command(PublishTheme, programmes.publish_theme)

    def register_organisations(self) -> Handler:
        """``do.registration.organisation.register``."""
        return self._command(RegisterOrganisations, programmes.register_organisations)

    def request_enrolment(self) -> Handler:
        """``do.registration.enrolment.request``."""
        return self._command(RequestEnrolment, lambda body, now: enrolments.request(body, self._arrival(body, now)))

    def withdraw_enrolment(self) -> Handler:
        """``do.registration.enrolment.withdraw``."""
        return self._command(WithdrawEnrolment, lambda body, now: enrolments.withdraw(body, self._arrival(body, now)))

    def confirm_enrolment(self) -> Handler:
        """``do.registration.enrolment.confirm``."""
        return self._command(ConfirmEnrolment, lambda body, now: enrolments.vouch(body, self._arrival(body, now)))

    def promote_enrolment(self) -> Handler:
        """``do.registration.enrolment.promote``."""
        return self._command(PromoteEnrolment, lambda body, now: enrolments.promote(body, self._arrival(body, now)))

    def add_participant(self) -> Handler:
        """``do.registration.participant.add``."""
        return self._command(
            AddParticipant,
            lambda body, now: enrolments.add_participant(body, body.participant, self._arrival(body, now)),
        )

    def change_participant(self) -> Handler:
        """``do.registration.participant.change``."""
        return self._command(
            ChangeParticipant,
            lambda body, now: enrolments.change_participant(
                body,
                self._arrival(body, now),
                who=body,
                seat=body.seat,
                role=body.role,
                replacement=body.replacement,
                diet=body.diet,
            ),
        )

    def withdraw_participant(self) -> Handler:
        """``do.registration.participant.withdraw``."""
        return self._command(
            WithdrawParticipant,
            lambda body, now: enrolments.withdraw_participant(body, self._arrival(body, now), who=body),
        )

    def correct_person(self) -> Handler:
        """``do.registration.person.correct``."""
        return self._command(CorrectPerson, lambda body, now: people.correct(body, now, smtputf8=self._smtputf8))

    def erase_person(self) -> Handler:
        """``do.registration.person.erase``."""
        return self._command(ErasePerson, people.erase)

    def create_token(self) -> Handler:
        """``do.registration.token.create``."""

        def handle(call: Call) -> None:
            body = call.parse(CreateToken)
            work = tokens.create(body, new_id(), self._clock())
            self._writer.submit(done_by(call.caller, body, work), answering(call))

        return handle

    def revoke_token(self) -> Handler:
        """``do.registration.token.revoke``."""

        async def handle(call: Call) -> None:
            body = call.parse(RevokeToken)
            answer = await self._writer.perform(done_by(call.caller, body, tokens.revoke(body, self._clock())))
            if not answer.failed:
                # Who revokes a token that is in bad hands must hear where it is still good.
                answer = tokens.revoked(answer, told=await self._told(_TOLD_WITHIN))
            answering(call)(answer)

        return handle

    def list_tokens(self) -> Handler:
        """``ask.registration.token.list``."""
        return self._question(Everything, lambda batch, _body, _now: tokens.list_all(batch))

    def list_programmes(self) -> Handler:
        """``ask.registration.programme.list``."""
        return self._question(Everything, lambda batch, _body, now: queries.programme_list(batch, now))

    def get_programme(self) -> Handler:
        """``ask.registration.programme.get``."""
        return self._question(ProgrammeQuestion, queries.programme_get)

    def list_themes(self) -> Handler:
        """``ask.registration.theme.list``."""
        return self._question(Everything, lambda batch, _body, _now: queries.theme_list(batch))

    def list_organisations(self) -> Handler:
        """``ask.registration.organisation.list``."""
        return self._question(Everything, lambda batch, _body, _now: queries.organisation_list(batch))

    def list_enrolments(self) -> Handler:
        """``ask.registration.enrolment.list``."""
        return self._question(EnrolmentsQuestion, lambda batch, body, _now: queries.enrolment_list(batch, body))

    def get_enrolment(self) -> Handler:
        """``ask.registration.enrolment.get``."""
        return self._question(EnrolmentQuestion, lambda batch, body, _now: queries.enrolment_get(batch, body))

    def export_person(self) -> Handler:
        """``ask.registration.person.export``."""
        return self._question(PersonQuestion, lambda batch, body, _now: queries.person_export(batch, body))

    def list_people(self) -> Handler:
        """``ask.registration.person.list``."""
        return self._question(AddressQuestion, lambda batch, body, _now: queries.people_list(batch, body))

    def list_lunches(self) -> Handler:
        """``ask.registration.lunch.list``."""
        return self._question(ProgrammeQuestion, queries.lunch_list)

    def people_expiring(self) -> Handler:
        """``ask.registration.person.expiring``."""

        async def handle(call: Call) -> None:
            body = call.parse(PeopleExpiringQuestion)
            answering(call)(answers.result(await self._retention.expiring(body)))

        return handle

    def read_log(self) -> Handler:
        """``ask.registration.log.read``."""
        return self._question(LogQuestion, lambda batch, body, _now: queries.log_read(batch, body))

"""Tokens of the staff: made, listed, revoked."""

from __future__ import annotations

from datetime import datetime

from contracts.commands import CreateToken, RevokeToken, TokenMade, TokenRevocation
from contracts.facts import TokenCreated, TokenRevoked
from contracts.problem import Problem, not_found, problem_type
from contracts.queries import TokenList
from services.chassis.access import Token, new_token
from services.registration.batch import Batch
from services.registration.handlers import answers
from services.registration.store import Answer, accounts
from services.registration.work import Work, problem_answer

_NOT_TOLD = (
    "Registration turns this token away from now on. It cannot reach the broker, so that reporting does not know and"
    " may still let it in. That follows by itself; /health/ready of registration says when (relays). If the token is in"
    " bad hands, take reporting's pages off the network until then."
)


def create(body: CreateToken, account: str, now: datetime) -> Work:
    """Make a token. Its secret is in the answer and nowhere else."""
    text, digest = new_token(account)
    token = Token(account, digest, body.role, body.organisations, body.expires)

    def work(batch: Batch) -> Answer:
        if accounts.token(batch.connection, name=body.name) is not None:
            return problem_answer(
                Problem(
                    type=problem_type("name-taken"),
                    title="There is a token of this name",
                    status=409,
                    detail=f"Choose another name than '{body.name}', or revoke that token first.",
                )
            )
        unknown = [one for one in body.organisations if batch.registry.organisations.get(one) is None]
        if unknown:
            return problem_answer(not_found("organisation", unknown[0], "An organiser leads those of the registry."))
        accounts.add_token(batch.connection, token, body.name, now)
        batch.tokens[account] = token
        fact = TokenCreated(
            account=account, digest=digest, role=body.role, organisations=body.organisations, expires=body.expires
        )
        batch.record_registry((fact,), now)
        return answers.result(TokenMade(account=account, name=body.name, role=body.role, token=text))

    return work


def revoke(body: RevokeToken, now: datetime) -> Work:
    """Make a token worthless."""

    def work(batch: Batch) -> Answer:
        known = accounts.token(batch.connection, account=body.account, name=body.name)
        if known is None:
            return problem_answer(not_found("token", body.account or body.name or "", "Perhaps it was revoked."))
        accounts.revoke(batch.connection, known.account, now)
        batch.tokens[known.account] = None
        batch.record_registry((TokenRevoked(account=known.account),), now)
        return answers.result(TokenRevocation(account=known.account, name=known.name))

    return work


def revoked(answer: Answer, *, told: bool) -> Answer:
    """The answer to a revocation, with whether the broker has been told of it."""
    revocation = TokenRevocation.model_validate_json(answer.body)
    return answers.result(revocation.model_copy(update={"told": told, "detail": None if told else _NOT_TOLD}))


def list_all(batch: Batch) -> Answer:
    """Every token there ever was."""
    return answers.result(TokenList(tokens=tuple(accounts.all_tokens(batch.connection))))

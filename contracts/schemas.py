"""
The JSON Schemas (draft 2020-12) of everything that crosses a subject: ``python -m contracts.schemas`` writes them.

They are checked in under ``schemas/`` so that a change of a message shows in a review, and so that other systems can
check what they send without any of this code. Facts, intake and outcomes are named by their type; commands, queries
and answers by their model. A schema asks for all that CloudEvents 1.0.2 §3.1 requires, also where we read leniently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, cast

from pydantic import BaseModel, create_model

from contracts import commands, facts, intake, queries
from contracts.base import Message
from contracts.envelope import Envelope, schema_name
from contracts.problem import Problem

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
FOLDER: Final = Path(__file__).parent / "schemas"
SAMPLES: Final = Path(__file__).parent / "samples"
"""Of every type one message with every field, ``<type>.full.json``, and one with only those required, ``.minimal``."""

COMMANDS: Final[tuple[type[Message], ...]] = (
    commands.PublishProgramme,
    commands.WithdrawProgramme,
    commands.CloseProgramme,
    commands.PublishTheme,
    commands.RegisterOrganisations,
    commands.RequestEnrolment,
    commands.ConfirmEnrolment,
    commands.WithdrawEnrolment,
    commands.PromoteEnrolment,
    commands.AddParticipant,
    commands.ChangeParticipant,
    commands.WithdrawParticipant,
    commands.CorrectPerson,
    commands.ErasePerson,
    commands.RetryMail,
    commands.ResendMail,
    commands.ReceiveMail,
    commands.DismissReceived,
    commands.AddSuppression,
    commands.LiftSuppression,
    commands.CreateToken,
    commands.RevokeToken,
    commands.CopyDatabase,
    commands.DiscardCopy,
    commands.RebuildReport,
)
QUERIES: Final[tuple[type[Message], ...]] = (
    queries.Everything,
    queries.ProgrammeQuestion,
    queries.EnrolmentsQuestion,
    queries.EnrolmentQuestion,
    queries.PersonQuestion,
    queries.AddressQuestion,
    queries.PeopleExpiringQuestion,
    queries.LogQuestion,
    queries.MailsQuestion,
    queries.MailPreviewQuestion,
    queries.ReceivedQuestion,
    queries.ReceivedMailQuestion,
    queries.ParticipationQuestion,
    queries.ThemeQuestion,
    queries.CopyQuestion,
)
ANSWERS: Final[tuple[type[Message], ...]] = (
    commands.Published,
    commands.OrganisationsRegistered,
    commands.EnrolmentResult,
    commands.EnrolmentReceipt,
    commands.PersonResult,
    commands.TokenMade,
    commands.TokenRevocation,
    commands.RetriedMail,
    commands.ResentMail,
    commands.ReceivedMail,
    commands.Dismissed,
    commands.Suppressed,
    commands.DatabaseCopy,
    commands.CopyDiscarded,
    commands.RebuiltReport,
    queries.ProgrammeList,
    queries.ProgrammeView,
    queries.ThemeList,
    queries.OrganisationList,
    queries.EnrolmentView,
    queries.EnrolmentList,
    queries.PersonExport,
    queries.PeopleList,
    queries.PeopleExpiring,
    queries.LunchList,
    queries.LogPiece,
    queries.TokenList,
    queries.TokenUses,
    queries.MailView,
    queries.MailList,
    queries.MailPreview,
    queries.MailsExport,
    queries.ReceivedList,
    queries.ReceivedMessage,
    queries.SuppressionList,
    queries.ProgrammeReport,
    queries.ProgrammeReportList,
    queries.Participation,
    queries.ThemeReport,
    queries.CopyPiece,
)


def documents() -> dict[str, dict[str, Any]]:
    """Every schema by its name, which is the name of its file and the end of its ``$id``."""
    return {name: {"$schema": DIALECT, "$id": schema_name(name), **schema} for name, schema in _schemas()}


def encoded(document: dict[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> None:
    """Make the folder hold exactly the schemas of this version."""
    folder.mkdir(exist_ok=True)
    wanted = {f"{name}.json": encoded(document) for name, document in documents().items()}
    for stale in folder.glob("*.json"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def _schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    for type_ in facts.FACTS:
        yield type_, _envelope(facts.variant(type_), "position")
    for type_, model in {**intake.INTAKE, **intake.OUTCOMES}.items():
        yield type_, _envelope(_enveloped(type_, model))
    for kind, models in (("command", COMMANDS), ("query", QUERIES), ("answer", ANSWERS)):
        for model in models:
            yield f"{kind}.{_words(model.__name__)}", model.model_json_schema()
    yield "problem", Problem.model_json_schema()


def _envelope(model: type[BaseModel], *also_required: str) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema["required"] = [
        name
        for name in schema["properties"]
        if name in {"specversion", "type", *also_required} or name in schema["required"]
    ]
    return schema


def _enveloped(type_: str, model: type[Message]) -> type[Envelope[Message]]:
    return cast(
        "type[Envelope[Message]]",
        create_model(
            model.__name__ + "Envelope",
            __base__=Envelope[model],  # type: ignore[valid-type]  # the type parameter is known only at run time
            __doc__=model.__doc__,
            type=(Literal[type_], type_),  # type: ignore[arg-type]  # likewise
        ),
    )


def _words(name: str) -> str:
    """``PublishProgramme`` as ``publish-programme``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


if __name__ == "__main__":
    write()

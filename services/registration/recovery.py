"""
What the broker knows and an older copy of our database does not, taken back before anything is decided.

Facts come from the stream of the log, who people are from the bucket of contacts, answers to partners from theirs. What
is on no stream is lost with the database: what people said for one programme (diets, how an address was written), what
tokens are called, and the answers that would be given again to commands and web forms that came with an id.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from pydantic import ValidationError

from contracts.commands import EnrolmentResult
from contracts.enrolment import Correspondent
from contracts.facts import (
    NO_PROGRAMME,
    EnrolmentConfirmed,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWaitlisted,
    ParticipantConfirmed,
    PersonCorrected,
    PersonErased,
    TokenCreated,
    TokenRevoked,
    parse,
)
from contracts.intake import OutcomeAccepted, parse_outcome
from contracts.subjects import OUTCOMES_STREAM, log_stream
from services.chassis.access import Token
from services.chassis.database import Database
from services.chassis.log import Entry, VersionConflict
from services.chassis.reading_back import AT_ONCE, NotAContinuation, Told, as_facts, beyond, read_all
from services.registration import store
from services.registration.contacts import people_named
from services.registration.revisions import BUCKET, key_subject
from services.registration.store import Answer, accounts, terms

_log = structlog.get_logger("registration.recovery")

ANY_CONTENT = b""
"""The digest of a request whose content is not known any more: what comes with its id is taken for the same."""


async def take_back_facts(connection: Client, database: Database, *, restored: bool) -> int:
    """
    Bring log, people, enrolments, deadlines and tokens up to what the stream tells of; returns the number of facts.

    Raises:
        NotAContinuation: see ``reading_back.beyond``.
    """
    stream = log_stream("registration")
    entries = as_facts(await beyond(connection, database, store.LOG, stream, restored=restored))
    if not entries:
        return 0
    named = sorted({person for entry in entries for person in people_named(entry)})
    contacts = await _contacts(connection, named)
    try:
        missing = await database.transact(lambda raw: _take_back(raw, entries, contacts))
    except (sqlite3.IntegrityError, VersionConflict) as error:
        raise NotAContinuation(
            f"the database {database.path} knows some of what the stream {stream} tells, and not all of it: {error}."
            " It is no whole copy of an earlier moment. Put the newest whole copy back."
        ) from error
    database.forget_soon()
    await database.forget()
    # Erased people are named by facts and known to nobody; so is whoever the bucket has lost.
    _log.warning(
        "facts that an older database lacked were read back from the stream",
        first=entries[0].position,
        last=entries[-1].position,
        people=len(contacts) - missing,
        unknown_people=missing,
    )
    return len(entries)


async def take_back_outcomes(connection: Client, database: Database, *, restored: bool) -> int:
    """
    Bring the answers to partners up to what their stream tells of; returns their number.

    Raises:
        NotAContinuation: see ``reading_back.beyond``; also when the answers in between have been dropped for their age.
    """
    told = await beyond(connection, database, store.OUTCOMES, OUTCOMES_STREAM, restored=restored, may_be_empty=True)
    if told:
        await database.transact(lambda raw: _take_back_answers(raw, told))
        _log.warning("answers to partners were read back from the stream", first=told[0].number, last=told[-1].number)
    return len(told)


async def _contacts(connection: Client, people: Sequence[str]) -> dict[str, Correspondent | None]:
    """Who they are, None for whom the bucket does not know (any more)."""
    found: dict[str, Correspondent | None] = {}
    for start in range(0, len(people), AT_ONCE):
        asked = people[start : start + AT_ONCE]
        known = await read_all(connection, asked, _contact, "contacts are read back slowly")
        found.update(zip(asked, known, strict=True))
    return found


async def _contact(jetstream: JetStreamContext, person: str) -> Correspondent | None:
    try:
        raw = await jetstream.get_msg(BUCKET, subject=key_subject(person), direct=True)
        return Correspondent.model_validate_json(raw.data or b"")
    except (NotFoundError, ValidationError):
        # A purge has no content.
        return None


def _take_back(raw: sqlite3.Connection, entries: Sequence[Entry], contacts: Mapping[str, Correspondent | None]) -> int:
    """Append the facts, and have every table follow from them; how many people stay unknown."""
    store.LOG.append(raw, entries)
    since: dict[str, datetime] = {}
    confirmed: dict[str, datetime] = {}
    enrolments: dict[str, tuple[str, str, str, str | None]] = {}
    for entry in entries:
        fact = parse(entry.body)
        for person in people_named(entry):
            since.setdefault(person, fact.time)
        match fact.data:
            case EnrolmentPending() | EnrolmentConfirmed() | EnrolmentWaitlisted() | EnrolmentRefused() as made:
                # What was confirmed later is the enrolment that was asked for.
                if store.whereabouts(raw, made.enrolment) is None:
                    asked_for = made.enrolment, entry.programme, made.source, fact.causationid
                    enrolments.setdefault(made.enrolment, asked_for)
            case TokenCreated() as token:
                made_of = Token(token.account, token.digest, token.role, token.organisations, token.expires)
                accounts.add_token(raw, made_of, f"restored-{token.account}", fact.time)
            case TokenRevoked(account=account):
                accounts.revoke(raw, account, fact.time)
            case ParticipantConfirmed(person=person):
                confirmed.setdefault(person, fact.time)
            case PersonCorrected(person=person):
                # Of whom nobody knows whether the address is another, nobody has confirmed anything.
                confirmed.pop(person, None)
            case PersonErased(person=person):
                store.erase_person(raw, person)
            case _:
                pass
    store.add_enrolments(raw, list(enrolments.values()))
    for programme in {entry.programme for entry in entries} - {NO_PROGRAMME}:
        store.forget_deadlines(raw, programme)
        for enrolment, complete_by in store.load_programme(raw, programme).deadlines.items():
            store.set_deadline(raw, enrolment, programme, complete_by)
    missing = _take_back_people(raw, contacts, since)
    _take_back_spellings(raw, contacts)
    for person, at in confirmed.items():
        store.confirm_person(raw, person, at)
    return missing


def _take_back_people(
    raw: sqlite3.Connection, contacts: Mapping[str, Correspondent | None], since: Mapping[str, datetime]
) -> int:
    before = {person: row for person in contacts if (row := store.row_of(raw, person)) is not None}
    rows = []
    for person, who in contacts.items():
        if who is None:
            continue
        row = store.person_row(person, who, since[person].isoformat())
        if (known := before.get(person)) is not None:
            same = known.address == row.address
            row = row._replace(since=known.since, confirmed=known.confirmed if same else None)
        rows.append(row)
    return len(contacts) - store.replace_people(raw, contacts, rows)


def _take_back_spellings(raw: sqlite3.Connection, contacts: Mapping[str, Correspondent | None]) -> None:
    """How names were written; how addresses were, the bucket does not know."""
    for person, who in contacts.items():
        if who is not None:
            store.spell_as_first(raw, person, ("name",))
            for programme, name in (who.spellings or {}).items():
                terms.say(raw, person, programme, "name", name)


def _take_back_answers(raw: sqlite3.Connection, told: Iterable[Told]) -> None:
    versions: dict[str, int] = {}
    entries = []
    for each in told:
        partner = each.subject.split(".")[1]
        versions[partner] = versions.get(partner, store.OUTCOMES.version(raw, partner)) + 1
        entries.append(Entry(each.number, partner, versions[partner], each.subject, each.body, each.id))
        data = parse_outcome(each.body).data
        if isinstance(data, OutcomeAccepted) and store.answered(raw, partner, data.request) is None:
            result = EnrolmentResult(
                enrolment=data.enrolment,
                programme=data.programme,
                status=data.status,
                place=data.place,
                missing=data.missing,
            )
            answer = Answer(200, result.model_dump_json(exclude_none=True).encode())
            store.remember_answer(raw, partner, data.request, ANY_CONTENT, answer)
    store.OUTCOMES.append(raw, entries)

"""A programme's whole life, as those who take part in it and those who run it see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tests.system.world import (
    STRANGERS_WAIT,
    Answer,
    Json,
    Mail,
    Refused,
    World,
    day,
    enrolment,
    organisation,
    person,
    programme,
    session,
    text,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

ID = "story"
ANNA, BRAM, CARLA, DAAN, ELS = (
    person(name, f"{name.lower()}@people.example", language)
    for name, language in (("Anna", "en"), ("Bram", "nl"), ("Carla", "nl"), ("Daan", "nl"), ("Els", "nl"))
)
RULES: Json = {
    "confirmation": STRANGERS_WAIT,
    "capacity": 2,
    "waiting_list": {"policy": "in-order"},
    "eligible": {"kinds": ["library"]},
}


@dataclass
class Story:
    """What everybody was told while it happened, and what lay in the mailboxes at its end."""

    world: World
    answers: dict[str, Answer] = field(default_factory=dict)
    outcomes: dict[str, Json] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)
    statuses: dict[str, list[str]] = field(default_factory=dict)
    published: list[list[str]] = field(default_factory=list)

    def to(self, who: Json) -> list[Mail]:
        """Somebody's mailbox."""
        return [mail for mail in self.mails if mail.to == who["email"]]

    def items(self, who: Json) -> list[tuple[str, int, str]]:
        """What somebody's agenda was told: for each session its SEQUENCE and METHOD, in that order."""
        uids = {mail.event["UID"]: str(mail.event["SUMMARY"]) for mail in self.to(who) if mail.calendar}
        return sorted(
            (_session(uids[uid]), sequence, method)
            for mail in self.to(who)
            if mail.calendar
            for uid, sequence, method in [mail.item]
        )


def _session(summary: str) -> str:
    (found,) = (id_ for id_ in ("first", "second") if f"Session {id_}" in summary)
    return found


def definition(sessions: list[Json]) -> Json:
    return programme(ID, sessions=sessions, **RULES) | {"themes": [{"theme": "together", "goals": ["meet"]}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(world: World) -> AsyncIterator[Story]:
    """The story, told once; each step is dealt with by everybody before the next."""
    told = Story(world)
    staff, partner, web = world.staff, world.partner, world.web

    async def note(step: str) -> None:
        await world.settled()
        standing = {view["participants"][0]["contact"]["name"]: view["status"] for view in await staff.enrolments(ID)}
        told.statuses[step] = [standing.get(who["name"], "-") for who in (ANNA, BRAM, CARLA, DAAN, ELS)]

    await staff.register(
        organisation("bisc", "support-organisation"),
        organisation("bieb-a"),
        organisation("bieb-b", province="gelderland", municipality="Arnhem"),
        organisation("bieb-c", province="zeeland", municipality="Goes"),
        organisation("stad", "municipality"),
    )
    theme = {"id": "together", "title": text("Together"), "goals": [{"id": "meet", "title": text("Meet")}]}
    await staff.do("do.registration.theme.publish", {"theme": theme})
    first, second = session("first", 8), session("second", 9)
    told.published.append((await staff.publish(definition([first, second])))["facts"])

    await partner.enrol("anna", enrolment(ID, ANNA, organisation_id="bieb-a"))
    told.outcomes["anna"] = await partner.answer("anna")
    told.answers["bram"] = await staff.attempt(
        "do.registration.enrolment.request", enrolment(ID, BRAM, organisation_id="bieb-b")
    )
    told.answers["carla"] = await web.enrol(enrolment(ID, CARLA, organisation_id="bieb-c"))
    await note("asked")
    await world.confirm(CARLA["email"])
    await partner.enrol("daan", enrolment(ID, DAAN, organisation_id="bieb-a"))
    told.outcomes["daan"] = await partner.answer("daan")
    await partner.enrol("els", enrolment(ID, ELS, organisation_id="stad"))
    told.outcomes["els"] = await partner.answer("els")
    await note("enrolled")

    await partner.send("anna-leaves", "enrolment.withdraw.v1", {"request": "anna"})
    told.outcomes["anna-leaves"] = await partner.answer("anna-leaves")
    await note("withdrawn")

    moved = first | {"start": f"{day(10)}T10:00", "end": f"{day(10)}T11:30"}
    told.published.append((await staff.publish(definition([moved, second])))["facts"])
    await note("moved")

    with pytest.raises(Refused, match="needs-confirmation"):
        await staff.publish(definition([moved]))
    told.published.append((await staff.publish(definition([moved]), confirmed=True))["facts"])
    await note("cancelled")

    told.published.append((await staff.do("do.registration.programme.withdraw", {"programme": ID}))["facts"])
    await note("over")
    told.mails = world.mails()
    yield told


async def test_everybody_is_told_at_once_how_they_stand(story: Story) -> None:
    assert (story.outcomes["anna"]["type"], story.outcomes["anna"]["data"]["status"]) == (
        "outcome.accepted.v1",
        "confirmed",
    )
    assert story.answers["bram"].body["status"] == "confirmed"
    assert (story.answers["carla"].body["expected"], story.answers["carla"].body["place"]) == ("waiting", 1)
    assert (story.outcomes["daan"]["data"]["status"], story.outcomes["daan"]["data"]["place"]) == ("waiting", 2)
    refusal = story.outcomes["els"]
    assert refusal["type"] == "outcome.refused.v1"
    (fault,) = refusal["data"]["errors"]
    assert fault["rule"]
    assert fault["detail"]
    assert fault["detail_nl"] not in ("", fault["detail"])


async def test_who_stands_how_follows_from_what_happened(story: Story) -> None:
    assert story.statuses["asked"] == ["confirmed", "confirmed", "pending", "-", "-"]
    assert story.statuses["enrolled"] == ["confirmed", "confirmed", "waiting", "waiting", "refused"]
    after = ["withdrawn", "confirmed", "confirmed", "waiting", "refused"]
    assert [story.statuses[step] for step in ("withdrawn", "moved", "cancelled")] == [after, after, after]


async def test_publishing_again_makes_the_facts_that_changed_and_no_other(story: Story) -> None:
    assert story.published == [
        ["programme.published.v1"],
        ["session.moved.v1"],
        ["session.cancelled.v1"],
        ["programme.withdrawn.v1"],
    ]


async def test_each_intake_message_has_exactly_one_outcome(story: Story) -> None:
    counted = Counter(outcome["data"]["request"] for outcome in story.world.partner.outcomes)
    assert counted == {"anna": 1, "daan": 1, "els": 1, "anna-leaves": 1}
    assert story.world.partners["school"].outcomes == []


async def test_who_leaves_is_confirmed_invited_and_taken_out_again(story: Story) -> None:
    assert story.items(ANNA) == [
        ("first", 0, "REQUEST"),
        ("first", 1, "CANCEL"),
        ("second", 0, "REQUEST"),
        ("second", 1, "CANCEL"),
    ]
    assert len([mail for mail in story.to(ANNA) if not mail.calendar]) == 2  # confirmation and goodbye


@pytest.mark.parametrize("who", [BRAM, CARLA], ids=["from the beginning", "from the waiting list"])
async def test_an_agenda_follows_every_change_under_the_same_uid(story: Story, who: Json) -> None:
    assert story.items(who) == [
        ("first", 0, "REQUEST"),
        ("first", 1, "REQUEST"),
        ("first", 2, "CANCEL"),
        ("second", 0, "REQUEST"),
        ("second", 1, "CANCEL"),
    ]
    calendars = [mail for mail in story.to(who) if mail.calendar]
    assert len({mail.item[0] for mail in calendars}) == 2
    # Everybody has items of their own: an answer to one must not touch another's.
    others = {mail.item[0] for mail in story.mails if mail.calendar and mail.to != who["email"]}
    assert not others & {mail.item[0] for mail in calendars}
    (moved,) = [mail for mail in calendars if mail.item[1:] == (1, "REQUEST")]
    assert moved.event["DTSTART"].dt.replace(tzinfo=None).isoformat() == f"{day(10)}T10:00:00"


async def test_mails_without_a_calendar_are_the_ones_that_the_story_calls_for(story: Story) -> None:
    purposes = {mail["message_id"].strip("<>"): mail["purpose"] for mail in await story.world.staff.mails(programme=ID)}

    def plain(who: Json) -> list[str]:
        return sorted(purposes[mail.message_id.strip("<>")] for mail in story.to(who) if not mail.calendar)

    assert plain(ANNA) == ["confirmation", "withdrawn"]
    assert plain(BRAM) == ["confirmation", "programme-cancelled"]
    assert plain(CARLA) == ["confirmation-request", "programme-cancelled", "promotion", "waiting"]
    assert plain(DAAN) == ["programme-cancelled", "waiting"]
    assert plain(ELS) == ["refusal"]


async def test_nobody_else_is_mailed_and_no_mail_lies_there_twice(story: Story) -> None:
    everybody = {who["email"] for who in (ANNA, BRAM, CARLA, DAAN, ELS)}
    assert {mail.to for mail in story.mails} == everybody
    assert len({mail.message_id for mail in story.mails}) == len(story.mails) == 6 + 7 + 9 + 2 + 1


async def test_people_are_written_to_in_their_language(story: Story) -> None:
    languages = {mail.to: str(mail.message["Content-Language"] or _language(mail)) for mail in story.mails}
    assert languages[ANNA["email"]] == "en"
    assert languages[BRAM["email"]] == "nl"


def _language(mail: Mail) -> str:
    body = mail.message.get_body(("plain",))
    assert body is not None
    return "en" if body.get_content().lstrip().startswith(("Dear", "Hello", "Hi")) else "nl"


async def test_the_report_says_what_happened(story: Story) -> None:
    report = await story.world.staff.report(ID)
    units = {key: value for key, value in report["counts"].items() if key.startswith("units") and value}
    standing = Counter(story.statuses["over"])
    assert units == {f"units_{status}": number for status, number in standing.items()}
    assert standing["refused"] == 1
    assert report["withdrawn"] is True
    assert (report["mails_sent"], report["mails_failed"]) == (len(story.mails), 0)
    (refusals,) = report["refusals"]
    assert refusals["refusals"] == 1
    (today,) = report["days"]
    assert {key: today[key] for key in ("requested", "confirmed", "waiting", "refused", "promoted")} == {
        "requested": 5,
        "confirmed": 2,
        "waiting": 2,
        "refused": 1,
        "promoted": 1,
    }


async def test_the_log_numbers_its_facts_without_gaps_and_the_broker_holds_the_same(story: Story) -> None:
    facts = await story.world.staff.facts()
    assert [fact["position"] for fact in facts] == list(range(1, len(facts) + 1))
    of_story: list[Any] = [fact["version"] for fact in facts if fact["subject"] == ID]
    assert of_story == list(range(1, len(of_story) + 1))
    stored = await story.world.staff.stream("LOG_REGISTRATION")
    assert [(sequence, body) for sequence, _, body in stored] == [(fact["position"], fact) for fact in facts]

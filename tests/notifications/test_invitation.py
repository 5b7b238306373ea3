"""The calendar object: what clients need, what libical demands, and what it lets pass."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.hygiene import UnusableAddress
from services.notifications.invitation import TIME_ZONE, Event, escape, fold, outline, parameter
from services.notifications.letters import Address, Calendar
from tests.notifications import ical_rules
from tests.notifications.samples import CALENDAR, RECIPIENTS, TEAMS, at, life_cycle

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
LIBICAL = Path(__file__).with_name("libical.py")
TEAMS_LINK = str(TEAMS.link)
TO_INSTALL = "libical is not on this machine: apt-get install -y --no-install-recommends libical3"

ATTENDEE = Address('Zoë "de" Wit^', "zoe@bibliotheek-zeist.example")
EVENT = Event(
    method="REQUEST",
    start=at(6, 20, 8),
    end=at(6, 20, 11),
    summary="Werksessie 1, over \\samen; werken",
    description="Meedoen: https://teams.microsoft.com/l/x\nLunch, na afloop; gratis",
    location="Bibliotheek Gouda, Agnietenstraat 100",
    organiser=Address("Deelname", "deelname@deelname.example"),
    join="https://teams.microsoft.com/l/x",
    page="https://deelname.example/programmes/a",
)


def write(event: Event = EVENT, attendee: Address = ATTENDEE) -> bytes:
    return outline(event).to(attendee, CALENDAR)


@cache
def calendars() -> dict[str, str]:
    return {name: rendered.calendar.decode() for name, _, rendered, _ in life_cycle() if rendered.calendar}


def event_of(raw: bytes) -> Any:
    """The event as icalendar reads it; its values are of many classes."""
    events = icalendar.Calendar.from_ical(raw).walk("VEVENT")
    assert len(events) == 1
    return events[0]


def ask_libical(question: dict[str, Any]) -> dict[str, Any]:
    answer = subprocess.run(
        [sys.executable, str(LIBICAL)],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if answer.returncode == 3:
        if os.environ.get("CI"):
            pytest.fail(TO_INSTALL)
        pytest.skip(TO_INSTALL)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_an_absent_libical_fails_in_ci_and_is_skipped_with_advice_elsewhere(
    ci: str, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LIBICAL.read_text(encoding="utf-8").replace("libical.so.3", "libabsent.so.3")
    (tmp_path / "libical.py").write_text(source, encoding="utf-8")
    monkeypatch.setitem(globals(), "LIBICAL", tmp_path / "libical.py")
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome, match=r"apt-get install .* libical3"):
        ask_libical({"check": {}, "classify": {}})


def test_libical_finds_nothing_to_object_to_in_any_mail_of_the_life_cycle() -> None:
    found = ask_libical({"check": calendars(), "classify": {}})["check"]

    assert len(found) == 20
    assert found == {name: [] for name in calendars()}


def test_libical_would_object_so_that_its_silence_means_something() -> None:
    good = calendars()["02-invite.nl"]
    mutants = {
        "no-uid": re.sub(r"UID:.*\r\n", "", good),
        "no-stamp": re.sub(r"DTSTAMP:.*\r\n", "", good),
        "no-summary": re.sub(r"SUMMARY:.*\r\n", "", good),
        "no-organiser": re.sub(r"ORGANIZER;.*\r\n", "", good),
        "no-version": good.replace("VERSION:2.0\r\n", ""),
    }

    found = ask_libical({"check": mutants, "classify": {}})["check"]

    assert all(found[name] for name in mutants), found


def test_libical_sees_a_move_as_a_move_and_a_cancellation_as_a_cancellation() -> None:
    mails, user = calendars(), RECIPIENTS["nl"].mailbox
    invite, moved, cancelled, withdrawn = (
        mails[f"{name}.nl"] for name in ("02-invite", "03-session-moved", "04-session-cancelled", "05-withdrawn-invite")
    )

    found = ask_libical(
        {
            "check": {},
            "classify": {
                "moved": [invite, moved, user],
                "cancelled": [moved, cancelled, user],
                "withdrawn": [moved, withdrawn, user],
                "late": [moved, invite, user],
            },
        }
    )["classify"]

    assert found == {
        "moved": "REQUEST-RESCHEDULE",
        "cancelled": "CANCEL-EVENT",
        "withdrawn": "CANCEL-EVENT",
        "late": "OBSOLETE",
    }


@pytest.mark.parametrize("name", sorted(calendars()))
def test_no_mail_has_one_of_the_mistakes_that_libical_lets_pass(name: str) -> None:
    assert ical_rules.objections(calendars()[name].encode()) == []


MUTANTS = {
    "floating time": ("DTSTART;TZID=Europe/Amsterdam", "DTSTART", "a time that floats or has no zone"),
    "no time zone": (TIME_ZONE, "", "a time in a zone that is not described"),
    "end before start": ("20230620T130000", "20230620T090000", "the end is not after the start"),
    "bad participation": ("NEEDS-ACTION", "PERHAPS", "an unknown participation status"),
    "bad offset": ("TZOFFSETTO:+0200", "TZOFFSETTO:+2", "an offset that no zone has"),
    "attendee without mailto": ('Wit":mailto:', 'Wit":', "ATTENDEE without a mailto address"),
    "two events": (
        "END:VCALENDAR",
        "BEGIN:VEVENT\r\nUID:2\r\nEND:VEVENT\r\nEND:VCALENDAR",
        "not exactly one VEVENT",
    ),
    "confirmed cancel": ("METHOD:REQUEST", "METHOD:CANCEL", "a status that contradicts the method"),
    "line feeds only": ("\r\n", "\n", "a line does not end in CRLF"),
    "unfolded": ("\r\n ", "", "a line is longer than 75 octets"),
    "negative sequence": ("SEQUENCE:0", "SEQUENCE:-1", "a sequence that is no count"),
    "unescaped": ("\\,", ",", "LOCATION is not escaped"),
    "alarm without action": ("ACTION:DISPLAY\r\n", "", "an alarm without an action or a trigger"),
}


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_each_of_the_thirteen_mistakes_would_be_noticed(name: str) -> None:
    right, wrong, objection = MUTANTS[name]
    good = calendars()["02-invite.nl"]
    mutant = good.replace(right, wrong)

    assert mutant != good
    assert objection in ical_rules.objections(mutant.encode())


def test_the_thirteen_are_thirteen() -> None:
    assert len(MUTANTS) == 13


def test_icalendar_reads_back_every_value_that_was_put_in() -> None:
    raw = write(EVENT)
    calendar = icalendar.Calendar.from_ical(raw)
    event = event_of(raw)

    assert calendar["METHOD"] == "REQUEST"
    assert calendar["VERSION"] == "2.0"
    assert calendar["CALSCALE"] == "GREGORIAN"
    assert event["UID"] == CALENDAR.uid
    assert event["SEQUENCE"] == 0
    assert event["DTSTAMP"].dt == event["LAST-MODIFIED"].dt == CALENDAR.stamp
    assert event["CREATED"].dt == CALENDAR.created
    assert event["DTSTART"].dt == EVENT.start
    assert event["DTEND"].dt == EVENT.end
    assert event["DTSTART"].params["TZID"] == "Europe/Amsterdam"
    assert event["SUMMARY"] == EVENT.summary
    assert event["DESCRIPTION"] == EVENT.description
    assert event["LOCATION"] == EVENT.location
    assert event["STATUS"] == "CONFIRMED"
    assert event["ORGANIZER"] == "mailto:deelname@deelname.example"
    assert event["ATTENDEE"] == "mailto:zoe@bibliotheek-zeist.example"
    assert event["ATTENDEE"].params["CN"] == 'Zoë "de" Wit^'
    assert event["ATTENDEE"].params["PARTSTAT"] == "NEEDS-ACTION"
    assert event["ATTENDEE"].params["RSVP"] == "TRUE"
    assert event["URL"] == EVENT.page
    assert event["CONFERENCE"] == EVENT.join
    assert "X-MICROSOFT-CDO-APPT-SEQUENCE" not in event
    alarm = event.walk("VALARM")[0]
    assert alarm["TRIGGER"].dt == timedelta(minutes=-30)


def test_a_cancellation_for_all_says_cancelled_and_one_for_a_single_person_says_no_status() -> None:
    for_all = event_of(write(replace(EVENT, method="CANCEL", off=True)))
    for_one = event_of(write(replace(EVENT, method="CANCEL")))

    assert for_all["STATUS"] == "CANCELLED"
    assert "STATUS" not in for_one
    for event in (for_all, for_one):
        assert event.walk("VALARM") == []
        assert event["X-MICROSOFT-CDO-BUSYSTATUS"] == "FREE"
        assert event["UID"] == CALENDAR.uid


def test_all_messages_about_one_session_share_uid_and_organiser_and_count_on() -> None:
    names = ("02-invite", "03-session-moved", "04-session-cancelled")
    events = [event_of(calendars()[f"{name}.nl"].encode()) for name in names]

    assert len({event["UID"] for event in events}) == 1
    assert len({event["ORGANIZER"] for event in events}) == 1
    assert [event["SEQUENCE"] for event in events] == [0, 1, 2]
    assert sorted({event["DTSTAMP"].dt for event in events}) == [event["DTSTAMP"].dt for event in events]
    assert all(event["ORGANIZER"] != event["ATTENDEE"] for event in events)


@pytest.mark.parametrize("year", range(2020, 2041))
def test_the_constant_time_zone_agrees_with_the_real_one_in_every_hour_of_its_changes(year: int) -> None:
    parsed: Any = icalendar.Timezone.from_ical(TIME_ZONE)
    rules = {part.name: part for part in parsed.subcomponents}
    assert set(rules) == {"STANDARD", "DAYLIGHT"}
    changes = []
    for part in rules.values():
        month = part["RRULE"]["BYMONTH"][0]
        assert part["RRULE"]["FREQ"] == ["YEARLY"]
        assert part["RRULE"]["BYDAY"] == ["-1SU"]
        last = next(
            day
            for day in (datetime(year, int(month), number) for number in range(31, 24, -1))  # noqa: DTZ001
            if day.weekday() == 6
        )
        local = last.replace(hour=part["DTSTART"].dt.hour)
        changes.append(
            (
                local.replace(tzinfo=timezone(part["TZOFFSETFROM"].td)).astimezone(UTC),
                part["TZOFFSETFROM"].td,
                part["TZOFFSETTO"].td,
            )
        )
    changes.sort()
    moment, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    while moment < end:
        expected = changes[0][1]
        for change, _, after in changes:
            if moment >= change:
                expected = after
        assert moment.astimezone(AMSTERDAM).utcoffset() == expected, moment
        moment += timedelta(hours=1)


@given(st.text())
def test_folding_keeps_lines_short_characters_whole_and_the_content_the_same(text: str) -> None:
    content = "DESCRIPTION:" + "".join(character for character in text if character.isprintable())
    folded = fold(content)

    assert folded.endswith(b"\r\n")
    lines = folded.removesuffix(b"\r\n").split(b"\r\n")
    assert all(len(line) <= 75 for line in lines)
    assert all(line.decode("utf-8") is not None for line in lines)
    assert folded.replace(b"\r\n ", b"").decode() == content + "\r\n"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]) | st.sampled_from("\\;,\n")))
def test_escaped_text_is_read_back_as_it_was(text: str) -> None:
    raw = b"BEGIN:VEVENT\r\n" + fold("COMMENT:" + escape(text)) + b"END:VEVENT\r\n"

    assert icalendar.Event.from_ical(raw)["COMMENT"] == text


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_nothing_that_a_person_types_breaks_out_of_its_property(summary: str, name: str, description: str) -> None:
    event = replace(EVENT, summary=summary, description=description, location=name)
    raw = write(event, Address(name, "a@b.example"))

    assert ical_rules.objections(raw) == []
    read = event_of(raw)
    assert read["ATTENDEE"] == "mailto:a@b.example"
    assert len(read.walk("VALARM")) == 1


def test_a_line_break_in_a_name_makes_no_property() -> None:
    raw = write(attendee=Address("Eva\r\nATTENDEE:mailto:all@x.example", "eva@b.example"))

    assert re.findall(rb"\r\nATTENDEE", raw) == [b"\r\nATTENDEE"]
    assert parameter('a"b^c\nd') == '"a^\'b^^c d"'


def test_a_link_with_another_scheme_or_a_line_break_is_left_out() -> None:
    raw = write(replace(EVENT, join="javascript:alert(1)", page="https://x.example/\r\nATTENDEE:mailto:b@x.example"))

    assert b"CONFERENCE" not in raw
    assert b"\r\nURL" not in raw


def test_an_attendee_without_a_usable_mailbox_is_refused() -> None:
    with pytest.raises(UnusableAddress):
        write(attendee=Address("Eva", "eva@b.example\r\nX: y"))


@pytest.mark.parametrize("name", sorted(calendars()))
def test_every_calendar_stays_within_two_kilobytes_whatever_the_length_of_its_join_link(name: str) -> None:
    unfolded = calendars()[name].replace("\r\n ", "")

    assert len(unfolded.replace(TEAMS_LINK, "").encode()) <= 2000


def test_one_time_means_the_same_whatever_zone_it_was_given_in() -> None:
    fixed = replace(EVENT, start=EVENT.start.astimezone(timezone(timedelta(hours=2))))

    assert write(fixed) == write(EVENT)


def test_a_calendar_identity_is_checked_when_it_is_made() -> None:
    for uid in ("", "a b", "a\nb", "é", "x" * 203):
        with pytest.raises(ValueError, match="UID"):
            Calendar(uid, 0, at(1, 1, 1))
    with pytest.raises(ValueError, match="never negative"):
        Calendar("a", -1, at(1, 1, 1))
    with pytest.raises(ValueError, match="time zone"):
        Calendar("a", 0, datetime(2023, 1, 1))  # noqa: DTZ001

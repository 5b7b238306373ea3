"""Every complaint about a YAML file names the line, the column and what was perhaps meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.document import Mistakes, read
from cli.failure import Failure
from contracts.programme import EnrolmentRules, Programme
from tests.cli.conftest import definition
from tests.tool import invoke

GOOD = definition("gesprek-2023")


def mistakes(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "programme.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Mistakes) as caught:
        read(path, Programme, "programme")
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_good_file_is_read_and_knows_where_its_fields_stand(tmp_path: Path) -> None:
    path = tmp_path / "programme.yaml"
    path.write_text(GOOD)
    document = read(path, Programme, "programme")
    assert document.value.id == "gesprek-2023"
    assert str(document.place("enrolment", "capacity")) == "16:3"
    assert str(document.place("sessions", 0, "venue")) == "13:5"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("capacitty: 2", "16:3: enrolment.capacitty: unknown key; did you mean 'capacity'?"),
        ("capacity: twee", "16:3: enrolment.capacity: input should be a valid integer, unable to parse string as an"
         " integer, not 'twee'"),
        ("capacity: 0", "16:3: enrolment.capacity: input should be greater than or equal to 1, not '0'"),
        ("volume: 3", "16:3: enrolment.volume: unknown key; known here: opens, closes, per, capacity, waiting_list,"
         " maximum_per_organisation, eligible, prices, roles, confirmation, keep_people_days."),
        ("confirmation: { needed: sometimes }", "16:19: enrolment.confirmation.needed: input should be 'always',"
         " 'unknown' or 'never', not 'sometimes'"),
        ("confirmation: { held_percent: 0 }", "16:19: enrolment.confirmation.held_percent: input should be greater than"
         " or equal to 1, not '0'"),
        ("confirmation: { source_percent: 101 }", "16:19: enrolment.confirmation.source_percent: input should be less"
         " than or equal to 100, not '101'"),
        ("confirmation: { within_hours: 2d }", "16:19: enrolment.confirmation.within_hours: input should be a valid"
         " integer, unable to parse string as an integer, not '2d'"),
        ("confirmation: { within_hour: 4 }", "16:19: enrolment.confirmation.within_hour: unknown key; did you mean"
         " 'within_hours'?"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_with_what_was_perhaps_meant(tmp_path: Path, wrong: str, complaint: str) -> None:
    assert mistakes(tmp_path, GOOD.replace("capacity: 2", wrong)) == [complaint]


def test_a_wrong_choice_lists_the_choices(tmp_path: Path) -> None:
    [told] = mistakes(tmp_path, GOOD.replace("kind: meeting", "kind: webinar"))
    assert told.startswith("2:1: kind: input should be 'meeting', 'round-table', 'inspiration' or 'track'")


def test_an_unknown_key_deep_inside_is_named(tmp_path: Path) -> None:
    [told] = mistakes(tmp_path, GOOD.replace("venue: {", "venue: { adress: x,"))
    assert told == "13:14: sessions.0.venue.adress: unknown key; did you mean 'address'?"


def test_a_missing_field_is_named_at_what_lacks_it(tmp_path: Path) -> None:
    [told] = mistakes(tmp_path, GOOD.replace("  - id: gesprek\n    title", "  - title"))
    assert told == "9:5: sessions.0.id: is missing"


def test_a_rule_of_the_contract_is_told_where_it_is_broken(tmp_path: Path) -> None:
    [told] = mistakes(tmp_path, GOOD.replace("end: 2023-06-20T13:00", "end: 2023-06-20T09:00"))
    assert told == "9:5: sessions.0: the end must come after the start"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    told = mistakes(tmp_path, GOOD.replace("capacity: 2", "capacity: x").replace("kind: meeting", "kind: y"))
    assert [line.partition(" ")[0] for line in told] == ["2:1:", "16:3:"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("id: [1\nkind: x\n", "2:"),
        ("id: a\nid: b\n", "2:"),
        ("- a\n- b\n", "1:1:"),
        ("just words\n", "1:1:"),
        ("", "1:1:"),
    ],
)
def test_what_is_no_yaml_mapping_is_told_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    [told] = mistakes(tmp_path, text)
    assert told.startswith(place)


def test_yaml_1_2_knows_no_norway_problem(tmp_path: Path) -> None:
    path = tmp_path / "programme.yaml"
    path.write_text(GOOD.replace("nl: Gesprek,", "nl: no,"))
    assert read(path, Programme, "programme").value.title.nl == "no"


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "programme.yaml"
    path.write_bytes(b"title: caf\xe9\n")
    with pytest.raises(Failure, match="not UTF-8"):
        read(path, Programme, "programme")


def test_check_needs_no_broker_and_ends_with_1(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("kind:", "knd:"))
    told = invoke("programme", "check", good, bad)
    assert told.code == 1
    assert f"✓ {good}: gesprek-2023, 1 session" in told.said
    assert f"{bad}:2:1: knd: unknown key; did you mean 'kind'?" in told.said
    assert invoke("programme", "check", good).code == 0


def test_check_as_json_lists_each_file(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(GOOD.replace("kind:", "knd:"))
    [found] = invoke("programme", "check", bad, "--json").json
    assert found["valid"] is False
    assert found["errors"][0]["field"] == "kind"


def test_check_remarks_on_what_the_contract_allows_but_nobody_wants(tmp_path: Path) -> None:
    path = tmp_path / "programme.yaml"
    path.write_text(GOOD.replace("closes: 2023-06-19T00:00", "closes: 2023-06-21T00:00"))
    assert "15:3: enrolment closes after the first session has begun" in invoke("programme", "check", path).said
    path.write_text(GOOD.replace("closes: 2023-06-19T00:00", ""))
    told = invoke("programme", "check", path)
    assert told.code == 0
    assert "enrolment is open until the last session has ended" in told.said


def test_check_remarks_on_who_lets_strangers_take_places(tmp_path: Path) -> None:
    path = tmp_path / "programme.yaml"
    path.write_text(GOOD.replace("capacity: 2", "capacity: 2\n  confirmation: { needed: never }"))
    told = invoke("programme", "check", path)
    assert told.code == 0
    assert "17:19: anybody can take places in the name of others, who are not asked ('never')" in told.said


def test_an_absent_file_is_wrong_usage() -> None:
    assert invoke("programme", "check", "absent.yaml").code == 2


@pytest.mark.parametrize(
    "when",
    [
        *("2026-09-08", "2026-09-08T17:00", "2026-09-08 17:00:00", "2026-09-08T15:00:00Z"),
        *("2027-10-31T02:30:00+01:00", "2027-10-31T02:30+01:00"),
    ],
)
def test_a_day_or_a_time_means_what_it_means_in_json_quoted_or_not(tmp_path: Path, when: str) -> None:
    """Unquoted, the library of YAML would make an object of it, without its offset."""
    path = tmp_path / "programme.yaml"
    expected = EnrolmentRules.model_validate_json(json.dumps({"closes": when})).closes
    for text in (when, f'"{when}"'):
        path.write_text(GOOD.replace("closes: 2023-06-19T00:00", f"closes: {text}"))
        assert read(path, Programme, "programme").value.enrolment.closes == expected


def test_a_time_that_the_clock_skips_is_refused_with_the_line_and_what_to_write(tmp_path: Path) -> None:
    [mistake] = mistakes(tmp_path, GOOD.replace("closes: 2023-06-19T00:00", "closes: 2027-03-28T02:30"))
    assert mistake == (
        "15:3: enrolment.closes: this time does not exist, because the clock goes from 02:00 to 03:00 that night:"
        " write 2027-03-28T01:59 or 2027-03-28T03:00"
    )


def test_a_title_that_looks_like_a_day_stays_a_title(tmp_path: Path) -> None:
    path = tmp_path / "programme.yaml"
    path.write_text(GOOD.replace("nl: Gesprek", "nl: 2026-09-08"))
    assert read(path, Programme, "programme").value.title.nl == "2026-09-08"

"""Programmes, themes and the registry by the tool, in a system that runs."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.conftest import Deelname, definition, until
from tests.tool import SAMPLES, invoke

# One system for all of them, not one for each worker.


def test_publishing_again_tells_only_what_changed(deelname: Deelname, programme: str, tmp_path: Path) -> None:
    path = tmp_path / "again.yaml"
    path.write_text(definition(programme))
    assert f"✓ {programme}: nothing changed" in deelname("programme", "publish", path).said
    path.write_text(definition(programme, capacity=5, start="2023-06-27T10:00"))
    again = deelname("programme", "publish", path, "--json")
    assert again.code == 0
    assert set(again.json[0]["facts"]) == {"programme.capacity-raised.v1", "session.moved.v1"}


def test_a_typing_error_in_the_second_file_publishes_neither(deelname: Deelname, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(definition("never-published"))
    bad.write_text(definition("bad").replace("kind:", "knd:"))
    assert deelname("programme", "publish", good, bad).code == 1
    assert deelname("programme", "show", "never-published").code == 1


def test_what_registration_refuses_is_told_with_the_file(deelname: Deelname, tmp_path: Path) -> None:
    path = tmp_path / "programme.yaml"
    path.write_text(definition("strange").replace("organisers: [bisc]", "organisers: [nobody-knows]"))
    refused = deelname("programme", "publish", path)
    assert refused.code == 1
    assert f"{path}:5:1: The organiser ‘nobody-knows’ is not in the registry." in refused.said
    assert refused.said.count("nobody-knows") == 1
    assert "staat niet in het register" in deelname("programme", "publish", path, "--language", "nl").said
    problem = deelname("programme", "publish", path, "--json").json
    assert problem["status"] >= 400


def test_a_programme_is_listed_and_shown_in_the_language_asked_for(deelname: Deelname, programme: str) -> None:
    assert programme in [row["id"] for row in deelname("programme", "list", "--json").json["programmes"]]
    assert programme in deelname("programme", "list").said
    dutch = deelname("programme", "show", programme, "--language", "nl").said
    assert "€ 25.00 a person (library)" in dutch
    assert "Team, team@bisc.example" in dutch
    assert "Gesprek" in dutch
    assert "dinsdag 20 juni 2023, 10:00–13:00 uur" in dutch
    assert "2 people; 0 confirmed, 0 waiting" in dutch
    assert "Talk" in deelname("programme", "show", programme, LANG="en_GB.UTF-8").said
    assert "Gesprek" in deelname("programme", "show", programme, LANG="nl_NL.UTF-8").said
    assert deelname("programme", "show", programme, "--json").json["definition"]["id"] == programme


def test_a_programme_without_a_limit_says_that_alone(deelname: Deelname, tmp_path: Path) -> None:
    path = tmp_path / "no-limit.yaml"
    path.write_text(re.sub(r" *(capacity|waiting_list): .*\n", "", definition("zonder-grens")))
    assert deelname("programme", "publish", path).code == 0
    assert "no limit; 0 confirmed, 0 waiting" in deelname("programme", "show", "zonder-grens").said


def test_sessions_are_shown_in_the_order_of_time_with_both_days_of_a_long_one(
    deelname: Deelname, tmp_path: Path
) -> None:
    path = tmp_path / "order.yaml"
    earlier = """
  - {id: nacht, title: {nl: Nachtsessie, en: Night}, start: 2023-06-13T22:00, end: 2023-06-14T02:00, online: {}}
"""
    text = definition("in-order").replace("enrolment:", "enrolment:", 1)
    head, sessions, tail = text.partition("sessions:")
    body, rest = tail.split("\nenrolment:", 1)
    path.write_text(f"{head}{sessions}{body}{earlier}enrolment:{rest}")
    assert deelname("programme", "publish", path).code == 0
    shown = deelname("programme", "show", "in-order").said
    assert shown.index("nacht") < shown.index("gesprek")
    assert "Tuesday 13 June 2023 at 22:00 (Amsterdam time) – Wednesday 14 June 2023 at 02:00 (Amsterdam time)" in shown


def test_a_kitchen_is_told_who_eats_and_what_some_do_not(deelname: Deelname, programme: str, tmp_path: Path) -> None:
    path = tmp_path / "lunch.yaml"
    path.write_text(definition(programme).replace("    venue:", "    lunch: true\n    venue:"))
    assert deelname("programme", "publish", path).code == 0
    team = tmp_path / "people.yaml"
    for name, diet in (("Anna", ""), ("Bert", ", diet: geen noten")):
        person = f"{{ name: {name}, email: {name.lower()}@{programme}.example }}"
        team.write_text(f"organisation: bibliotheek-zeist\nparticipants:\n  - {{ person: {person}{diet} }}\n")
        assert deelname("enrolment", "request", programme, "--file", team).code == 0
        told = deelname("programme", "lunches", programme, "--language", "nl").said
        if not diet:
            assert "Gesprek (gesprek): 1 person Nobody has named a diet." in told
    assert "Gesprek (gesprek): 2 people" in told
    assert "Bert" in told
    assert "geen noten" in told
    assert deelname("programme", "lunches", programme, "--json").json["lunches"][0]["people"] == 2


def test_an_unknown_programme_is_a_problem_with_exit_code_1(deelname: Deelname) -> None:
    assert deelname("programme", "show", "unknown").code == 1
    assert deelname("programme", "show", "unknown", "--json").json["status"] == 404
    report = deelname("report", "programme", "unknown")
    assert report.code == 1
    assert "ask." not in report.said, "a subject of the broker is no advice to the staff"


def test_withdrawing_needs_a_yes_and_both_languages_of_a_reason(
    deelname: Deelname, programme: str, tmp_path: Path
) -> None:
    unasked = deelname("programme", "withdraw", programme)
    assert unasked.code == 2
    assert "--yes" in unasked.err
    assert deelname("programme", "withdraw", programme, "--yes", "--reason-nl", "Ziek").code == 2
    words = ("--yes", "--reason-nl", "Ziek.", "--reason-en", "Ill.", "--json")
    assert deelname("programme", "withdraw", programme, *words).json["facts"] == ["programme.withdrawn.v1"]
    assert "withdrawn" in deelname("programme", "show", programme).said
    path = tmp_path / "again.yaml"
    path.write_text(definition(programme))
    again = deelname("programme", "publish", path)
    assert again.code == 1
    assert f"{path}:1:1: This programme was withdrawn, and that can't be undone." in " ".join(again.said.split())
    assert "Give it another id and publish that." in again.said
    assert "Correct it" not in again.said


def test_a_programme_without_dates_is_closed_and_shown_as_over(deelname: Deelname, tmp_path: Path) -> None:
    path = tmp_path / "ooit.yaml"
    dates = "    start: 2023-06-20T10:00\n    end: 2023-06-20T13:00\n"
    text = definition("ooit", capacity=1)
    assert dates in text
    path.write_text(text.replace(dates, ""))
    assert deelname("programme", "publish", path).code == 0
    for name in ("a", "b"):
        person = f"{name} <{name}@ooit.example>"
        assert deelname("enrolment", "request", "ooit", "-o", "bibliotheek-zeist", "-p", person).code == 0
    mails = deelname("mail", "list", "--programme", "ooit", "--json").json["mails"]
    unasked = deelname("programme", "close", "ooit")
    assert unasked.code == 2
    assert "--yes" in unasked.err
    foreseen = deelname("programme", "close", "ooit", "--dry-run").said
    assert "and nobody is told" in foreseen
    assert "Nothing was changed. Nobody would be mailed." in " ".join(foreseen.split())
    closed = deelname("programme", "close", "ooit", "--yes")
    assert "ooit: done The programme is over, and nobody is told." in " ".join(closed.said.split())
    assert "1 enrolment is still on the waiting list." in closed.said
    assert "over" in deelname("programme", "show", "ooit").said.split()
    (row,) = [each for each in deelname("programme", "list", "--json").json["programmes"] if each["id"] == "ooit"]
    assert (row["over"], row["open"]) == (True, False)
    until(lambda: bool(deelname("report", "programme", "ooit", "--json").json["closed"]))
    assert len(deelname("mail", "list", "--programme", "ooit", "--json").json["mails"]) >= len(mails)
    purposes = {each["purpose"] for each in deelname("mail", "list", "--programme", "ooit", "--json").json["mails"]}
    assert purposes <= {"confirmation", "waiting"}


def test_a_change_that_mails_many_asks_first(deelname: Deelname, programme: str, tmp_path: Path) -> None:
    file = tmp_path / "programme.yaml"
    file.write_text(definition(programme, capacity=40))
    assert deelname("programme", "publish", file).code == 0
    people = [word for number in range(26) for word in ("-p", f"Anna <a{number}@{programme}.example>")]
    assert deelname("enrolment", "request", programme, "-o", "bibliotheek-zeist", *people).code == 0
    file.write_text(definition(programme, capacity=40, start="2023-06-21T10:00"))
    asked = deelname("programme", "publish", file)
    assert asked.code == 2
    assert "26 people are mailed the new time." in asked.said
    assert "This would mail 26 people in 1 enrolment. Go on?" in asked.said
    assert "--yes" in asked.said
    told = deelname("programme", "publish", file, "--yes", "--json")
    assert told.json[0]["facts"] == ["session.moved.v1"]


def test_a_slip_is_asked_about_and_a_dry_run_says_it_beforehand(deelname: Deelname, tmp_path: Path) -> None:
    file = tmp_path / "programme.yaml"
    file.write_text(definition("vergissing"))
    assert deelname("programme", "publish", file).code == 0
    assert deelname("enrolment", "request", "vergissing", "-o", "bibliotheek-zeist", "-p", "A <a@v.example>").code == 0
    file.write_text(definition("vergissing").replace("id: gesprek", "id: gespreek"))
    foreseen = deelname("programme", "publish", file, "--dry-run")
    assert foreseen.code == 0
    for said in (
        "vergissing: this would happen",
        "‘Talk’ (gesprek) on Tuesday 20 June 2023 at 10:00 (Amsterdam time) is cancelled: "
        "1 person is mailed that it is off.",
        "‘Talk’ (gespreek) on Tuesday 20 June 2023 at 10:00 (Amsterdam time) is added: "
        "1 person is mailed the invitation.",
        "asks first: Session ‘Talk’ (gesprek) is missing, and gespreek has the same title and time.",
        "Nothing was changed. In all, 1 person would be mailed.",
    ):
        assert said in " ".join(foreseen.said.split())
    dutch = deelname("programme", "publish", file, "--dry-run", "--language", "nl").said
    assert "1 persoon krijgt mail dat die niet doorgaat." in " ".join(dutch.split())
    asked = deelname("programme", "publish", file)
    assert asked.code == 2
    assert "Did you mean the same session?" in " ".join(asked.said.split())
    assert "session-renamed" not in asked.said, "who reads the question is no program"
    assert deelname("programme", "show", "vergissing", "--json").json["definition"]["sessions"][0]["id"] == "gesprek"
    assert deelname("programme", "publish", file, "--yes").code == 0
    withdrawal = deelname("programme", "withdraw", "vergissing", "--dry-run")
    assert withdrawal.code == 0
    assert "The programme is cancelled: 1 person is mailed of that." in withdrawal.said
    assert deelname("programme", "show", "vergissing", "--json").json["withdrawn"] is False


def test_themes_are_published_and_listed(deelname: Deelname) -> None:
    file = SAMPLES / "001-vluchtelingen-integratie" / "theme.yaml"
    assert deelname("theme", "publish", file, "--json").json[0]["facts"] == []
    [theme] = [t for t in deelname("theme", "list", "--json").json["themes"] if t["id"] == "vluchtelingen-integratie"]
    assert len(theme["goals"]) == 7
    assert "Vluchtelingen & Integratie" in deelname("theme", "list", "--language", "nl").said


def test_loading_the_registry_again_changes_nothing(deelname: Deelname) -> None:
    again = deelname("organisation", "load", SAMPLES / "organisations.csv", "--json").json
    assert again["registered"] == 0
    assert again["changed"] == 0
    assert again["unchanged"] > 100


def test_organisations_are_listed_by_kind_and_province(deelname: Deelname) -> None:
    words = ("--kind", "library", "--province", "overijssel")
    listed = deelname("organisation", "list", *words, "--json").json["organisations"]
    assert len({organisation["municipality"] for organisation in listed}) == 25
    assert "Stadkamer Zwolle" in deelname("organisation", "list", *words).said


def test_a_registry_with_semicolons_and_a_byte_order_mark_is_read(deelname: Deelname, tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_text("id;name;kind;province;municipality\nuit-excel;Uit, Excel;other;;\n", encoding="utf-8-sig")
    assert deelname("organisation", "load", path, "--json").json["registered"] == 1


def test_every_wrong_line_of_a_registry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text("id,name,kind,province\na,A,libary,\nb,B,library,utrect\na-b,,other,\nc,C,other,\nc,C,other,\n")
    told = invoke("organisation", "load", path, "--endpoints", path)
    assert told.code == 1
    for words in (
        ":2:1: kind:",
        "did you mean 'library'?",
        ":3:1: province:",
        "did you mean 'utrecht'?",
        ":4:1: name:",
    ):
        assert words in told.said
    assert ":6:1: id: 'c' stands in line 5 already" in told.said


def test_a_wrong_column_is_corrected(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text("id,name,kind,provence\n")
    assert "did you mean 'province'?" in invoke("organisation", "load", path, "--endpoints", path).said

"""Enrolments, mails, reports, the log and people by the tool, in a system that runs."""

from __future__ import annotations

import csv
import io
import json
import urllib.request
from pathlib import Path

import pytest

from cli.failure import Failure
from cli.people import read_participant
from tests.cli.conftest import Deelname, until

# One system for all of them, not one for each worker.


def enrol(deelname: Deelname, programme: str, name: str, organisation: str = "bibliotheek-zeist") -> str:
    address = f"{name.lower()}@{programme}.example"
    asked = deelname("enrolment", "request", programme, "-o", organisation, "-p", f"{name} <{address}>", "--json")
    assert asked.code == 0, asked.said
    return str(asked.json["enrolment"])


def test_a_withdrawal_lets_who_waits_move_up_and_the_reason_is_shown(deelname: Deelname, programme: str) -> None:
    first = enrol(deelname, programme, "Anna")
    enrol(deelname, programme, "Bert")
    third = enrol(deelname, programme, "Carla")
    waiting = deelname("enrolment", "list", programme, "--status", "waiting", "--json").json["enrolments"]
    assert [view["enrolment"] for view in waiting] == [third]
    assert deelname("enrolment", "withdraw", first, "--json").json["status"] == "withdrawn"
    shown = deelname("enrolment", "show", third)
    [why] = deelname("enrolment", "show", third, "--json").json["reasons"]
    assert why["rule"] == "unit-free"
    assert why["en"] in shown.said
    assert why["nl"] in deelname("enrolment", "show", third, "--language", "nl").said
    assert "enrolment.promoted.v1" in shown.said
    assert "price: € 25.00" in shown.said
    assert deelname("enrolment", "show", third, "--json").json["status"] == "confirmed"
    assert "Carla" in deelname("enrolment", "list", programme).said


def test_an_id_stays_in_one_piece_on_a_narrow_terminal(deelname: Deelname, programme: str) -> None:
    enrolment = enrol(deelname, programme, "Anna")
    assert enrolment in deelname("enrolment", "list", programme, COLUMNS="80").out


def test_a_refusal_ends_with_1_and_names_every_rule_in_the_language_asked_for(
    deelname: Deelname, programme: str
) -> None:
    words = ("enrolment", "request", programme, "-o", "gemeente-almelo", "-p", "Dora <dora@almelo.example>")
    refused = deelname(*words)
    assert refused.code == 1
    assert "(kind-not-eligible)" in refused.said
    assert "(province-not-eligible)" in refused.said
    assert "Dit programma is bedoeld voor bibliotheken" in deelname(*words, "--language", "nl").said
    assert {error["rule"] for error in deelname(*words, "--json").json["errors"]} >= {"kind-not-eligible"}


def test_staff_promote_within_the_capacity_alone(deelname: Deelname, programme: str) -> None:
    for name in ("Anna", "Bert"):
        enrol(deelname, programme, name)
    third = enrol(deelname, programme, "Carla")
    full = deelname("enrolment", "promote", third)
    assert full.code == 1
    assert "(full)" in full.said
    assert deelname("enrolment", "promote", third, "--json").json["errors"][0]["rule"] == "full"


def test_a_team_in_a_file_is_enrolled(deelname: Deelname, programme: str, tmp_path: Path) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(
        "organisation: bibliotheek-zeist\nparticipants:\n"
        "  - person: { name: Anna, email: anna@team.example }\n"
        "  - person: { name: Bert, email: bert@team.example, language: en }\n"
    )
    assert deelname("enrolment", "request", programme, "--file", path, "--json").json["status"] == "confirmed"
    path.write_text("organisation: bibliotheek-zeist\nparticipant: []\n")
    assert (
        "2:1: participant: unknown key; did you mean 'participants'?"
        in deelname("enrolment", "request", programme, "--file", path).said
    )


def test_participants_are_added_replaced_and_withdrawn(deelname: Deelname, programme: str) -> None:
    enrolment = enrol(deelname, programme, "Anna")
    people = ("enrolment", "participant")
    assert deelname(*people, "add", enrolment, f"Bert <bert@{programme}.example>").code == 0
    replaced = deelname(
        *people, "change", enrolment, f"bert@{programme}.example", "--replacement", f"Cor <cor@{programme}.example>"
    )
    assert replaced.code == 0
    assert deelname(*people, "withdraw", enrolment, f"anna@{programme}.example").code == 0
    [left] = deelname("enrolment", "show", enrolment, "--json").json["participants"]
    assert left["contact"]["name"] == "Cor"
    assert deelname(*people, "change", enrolment, f"cor@{programme}.example").code == 2


@pytest.mark.parametrize(
    "text",
    [
        *("noor@zeist.example", "Noor", "Noor <>", "<noor@zeist.example>", "Noor <noor@zeist.example> colour=red"),
        *('Noor <noor@zeist.example> diet="no nuts', "Noor <noor@zeist.example> en Sam <sam@zeist.example>"),
        *("Noor\u200b de Wit 06 <noor@zeist.example>", f"Noor <{'a' * 65}@zeist.example>"),
    ],
)
def test_somebody_named_wrongly_is_wrong_usage(text: str) -> None:
    with pytest.raises(Failure) as caught:
        read_participant(text)
    assert caught.value.code == 2
    assert caught.value.remedy


def test_somebody_is_named_with_seat_role_and_language() -> None:
    somebody = read_participant("Noor de Wit <noor@zeist.example> seat=jeugd role=lezer language=en")
    assert somebody.person.name == "Noor de Wit"
    assert (somebody.seat, somebody.role, somebody.person.language) == ("jeugd", "lezer", "en")


@pytest.mark.parametrize(
    "name", ["Noor (Nora) de Wit", "Wit, Noor de", "A. & B. de Wit", "Noor 'Nora' de Wit", 'Noor "Nora" de Wit', "Zoë"]
)
def test_a_name_is_kept_as_it_was_typed(name: str) -> None:
    """Mail programs leave out what stands between brackets, and part what stands around a comma."""
    assert read_participant(f"{name} <noor@zeist.example>").person.name == name
    assert read_participant(f'"{name}" <noor@zeist.example> diet="geen noten, geen vis"').person.name == name


def test_a_diet_may_have_several_words() -> None:
    assert read_participant('Noor <noor@zeist.example> diet="geen noten, geen vis" role=lezer').diet == (
        "geen noten, geen vis"
    )


def test_mails_are_listed_previewed_and_kept_as_files(deelname: Deelname, programme: str, tmp_path: Path) -> None:
    enrolment = enrol(deelname, programme, "Anna")

    def sent() -> set[str]:
        mails = deelname("mail", "list", "--enrolment", enrolment, "--json").json["mails"]
        return {mail["purpose"] for mail in mails if mail["status"] == "sent"}

    until(lambda: sent() == {"confirmation", "invite"})
    assert "confirmation" in deelname("mail", "list", "--programme", programme).said
    html, raw = tmp_path / "mail.html", tmp_path / "mail.eml"
    words = ("mail", "preview", enrolment, "--purpose", "confirmation", "--html", html, "--raw", raw)
    preview = deelname(*words, "--mail-language", "en")
    assert preview.code == 0
    assert f"anna@{programme}.example" in preview.out
    assert "<html" in html.read_text()
    assert raw.read_bytes().count(b"\r\n") > 10
    assert deelname(*words, "--json").json["subject"]
    assert deelname("mail", "preview", enrolment, "--purpose", "nonsense").code == 1


def test_a_mail_that_was_sent_cannot_be_retried_and_is_sent_as_a_copy_on_purpose(
    deelname: Deelname, programme: str
) -> None:
    enrolment = enrol(deelname, programme, "Anna")
    words = ("mail", "list", "--enrolment", enrolment, "--status", "sent", "--json")
    until(lambda: bool(deelname(*words).json["mails"]))
    (mail, *_) = (each["mail"] for each in deelname(*words).json["mails"])
    refused = deelname("mail", "retry", mail)
    assert refused.code == 1
    assert "mail resend" in refused.said
    assert deelname("mail", "retry", "unknown").code == 1
    copy = deelname("mail", "resend", mail, "--json").json
    assert copy["copy_of"] == mail
    until(lambda: copy["mail"] in {each["mail"] for each in deelname(*words).json["mails"]})


def test_a_corrected_address_gets_what_still_holds_and_the_old_one_a_cancellation(
    deelname: Deelname, programme: str
) -> None:
    enrolment = enrol(deelname, programme, "Sara")

    def sent() -> list[str]:
        mails = deelname("mail", "list", "--enrolment", enrolment, "--json").json["mails"]
        return sorted(mail["purpose"] for mail in mails if mail["status"] == "sent")

    until(lambda: sent() == ["confirmation", "invite"])
    address = f"sara@{programme}.example"
    assert deelname("person", "correct", address, "--new-email", f"sara.de.boer@{programme}.example").code == 0
    until(lambda: sent() == ["confirmation", "confirmation", "invite", "invite", "readdressed"])


def test_reports_come_as_tables_json_and_csv(deelname: Deelname, programme: str) -> None:
    enrol(deelname, programme, "Anna")

    def counted() -> int:
        rows = deelname("report", "programmes", "--json").json["programmes"]
        return sum(row["counts"]["people_confirmed"] for row in rows if row["programme"] == programme)

    until(lambda: counted() == 1)
    assert programme in deelname("report", "programmes").said
    rows = list(csv.DictReader(io.StringIO(deelname("report", "programmes", "--plain-csv").out)))
    assert [row["units_confirmed"] for row in rows if row["key"] == programme] == ["1"]
    assert "Bibliotheek Zeist" in deelname("report", "programme", programme).said
    assert deelname("report", "programme", programme, "--json").json["programme"] == programme
    rows = list(csv.DictReader(io.StringIO(deelname("report", "programme", programme, "--plain-csv").out)))
    assert ("organisation", "bibliotheek-zeist", "1") in [(r["section"], r["key"], r["units_confirmed"]) for r in rows]
    assert deelname("report", "programmes", "--csv", "--plain-csv").code == 2


@pytest.mark.parametrize(("option", "asked"), [("--csv", "?format=csv"), ("--plain-csv", "")])
def test_the_tool_and_the_reports_over_http_give_the_same_file(
    deelname: Deelname, programme: str, running: Path, option: str, asked: str
) -> None:
    """Two files with other columns or other totals would be two truths."""
    enrol(deelname, programme, "Anna")
    endpoints = json.loads(running.read_text())
    headers = {
        "Authorization": f"Bearer {endpoints['tokens']['viewer']}",
        "Accept": "text/csv",
        "Accept-Language": "nl",
    }

    def same(words: tuple[str, ...], path: str) -> bool:
        request = urllib.request.Request(f"{endpoints['http']['reporting']}{path}{asked}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            over_http: str = answer.read().decode()
        by_tool: str = deelname("report", *words, option, "--language", "nl").out
        return over_http == by_tool

    # Mails go on being sent while both are asked.
    until(lambda: same(("programmes",), "/api/programmes"))
    until(lambda: same(("programme", programme), f"/api/programmes/{programme}"))
    until(lambda: same(("participation", "--by", "province"), "/api/participation/province"))
    until(lambda: same(("theme", "vluchtelingen-integratie"), "/api/themes/vluchtelingen-integratie"))


def test_a_programme_s_csv_has_all_that_its_tables_have(deelname: Deelname, programme: str) -> None:
    enrol(deelname, programme, "Anna")
    deelname("enrolment", "request", programme, "-o", "gemeente-almelo", "-p", "Dora <dora@almelo.example>")

    def reported() -> dict[tuple[str, str], dict[str, str]]:
        out = deelname("report", "programme", programme, "--plain-csv").out
        return {(row["section"], row["key"]): row for row in csv.DictReader(io.StringIO(out))}

    until(lambda: ("mail", "confirmation") in reported() and ("refusal", "kind-not-eligible") in reported())
    rows = reported()
    total = rows["total", programme]
    assert (total["units_confirmed"], total["units_refused"], total["people_confirmed"]) == ("1", "1", "1")
    assert int(total["mails_sent"]) >= int(rows["mail", "confirmation"]["mails_sent"]) == 1
    assert rows["refusal", "kind-not-eligible"]["refusals"] == "1"
    assert [row["enrolments_requested"] for (part, _), row in rows.items() if part == "day"] == ["2"]


@pytest.mark.parametrize("by", ["theme", "organiser", "province", "municipality"])
def test_participation_is_counted_by_each_heading(deelname: Deelname, programme: str, by: str) -> None:
    enrol(deelname, programme, "Anna")
    words = ("report", "participation", "--by", by)
    assert deelname(*words).code == 0
    assert deelname(*words, "--json").json["by"] == by
    columns = deelname(*words, "--csv", "--language", "en").out.splitlines()[0].removeprefix("\ufeff").split(";")
    assert columns[:3] == [by.capitalize(), "Took part", "Organisation"]
    assert columns.count("Municipality") == 1


def test_a_theme_is_reported_per_municipality_and_goal(deelname: Deelname) -> None:
    theme = "vluchtelingen-integratie"
    until(lambda: deelname("report", "theme", theme).code == 0)
    assert len(deelname("report", "theme", theme, "--json").json["municipalities"]) == 25
    rows = list(csv.DictReader(io.StringIO(deelname("report", "theme", theme, "--plain-csv").out)))
    assert len(rows) == 26 * 8 + 1
    assert "Hof van Twente" in deelname("report", "theme", theme).said


def test_a_rebuild_comes_out_identical(deelname: Deelname, programme: str) -> None:
    enrol(deelname, programme, "Anna")
    rebuilt = deelname("report", "rebuild", "--json").json
    assert rebuilt["identical"] is True
    assert "identical, byte for byte" in deelname("report", "rebuild").said


def test_the_log_is_shown_and_followed(deelname: Deelname, programme: str) -> None:
    enrolment = enrol(deelname, programme, "Anna")
    facts = deelname("log", "show", "--programme", programme, "--json").json
    assert [fact["type"] for fact in facts] == ["programme.published.v1", "enrolment.confirmed.v1"]
    assert enrolment in deelname("log", "show", "--programme", programme).said
    assert len(deelname("log", "show", "--limit", 3, "--json").json) == 3
    tail = deelname("log", "tail", "--lines", 1000, "--count", 2, "--programme", programme, "--json")
    assert [json.loads(line)["version"] for line in tail.out.splitlines()] == [1, 2]
    assert "enrolment.confirmed.v1" in deelname("log", "tail", "-n", 1000, "--count", 2, "--programme", programme).out


def test_a_person_is_exported_corrected_and_erased(deelname: Deelname, programme: str, tmp_path: Path) -> None:
    enrolment = enrol(deelname, programme, "Anna")
    old, new = f"anna@{programme}.example", f"anna.smit@{programme}.example"
    corrected = deelname("person", "correct", old, "--new-name", "Anna Smit", "--new-email", new, "--json")
    assert corrected.json["result"] == "corrected"
    file = tmp_path / "anna.json"
    exported = deelname("person", "export", new, "--output", file, "--json").json
    assert exported == json.loads(file.read_text())
    assert exported["registration"]["contact"]["name"] == "Anna Smit"
    assert "Anna Smit" in deelname("person", "export", new).said
    assert deelname("person", "erase", new).code == 2
    assert deelname("person", "erase", new, "--yes", "--json").json["result"] == "erased"
    assert deelname("person", "export", new).code == 1
    assert "(erased)" in deelname("enrolment", "show", enrolment).said


def test_people_who_share_a_mailbox_are_told_apart(deelname: Deelname, programme: str, tmp_path: Path) -> None:
    mailbox = f"jeugd@{programme}.example"
    people = [f"Fatima El Amrani <{mailbox}>", f"Piet Bakker <{mailbox}> language=en"]
    options = [option for one in people for option in ("--person", one)]
    enrolment = deelname("enrolment", "request", programme, "-o", "bibliotheek-zeist", *options, "--json").json[
        "enrolment"
    ]
    assert f"{mailbox} (shared by 2)" in deelname("enrolment", "show", enrolment).said

    for command in (
        ("person", "export", mailbox),
        ("person", "correct", mailbox, "--mail-language", "nl"),
        ("person", "erase", mailbox, "--yes"),
        ("enrolment", "participant", "change", enrolment, mailbox, "--role", "taalhuis"),
        ("enrolment", "participant", "withdraw", enrolment, mailbox),
    ):
        refused = deelname(*command)
        assert refused.code == 1
        assert "2 people share this address" in refused.said
        assert "deelname person list ADDRESS" in refused.said
    listed = deelname("person", "list", mailbox)
    assert "Fatima El Amrani" in listed.said
    persons = [one["person"] for one in deelname("person", "list", mailbox, "--json").json["people"]]

    correct = deelname("person", "correct", mailbox, "--name", "piet bakker", "--new-name", "Piet de Bakker", "--json")
    assert (correct.json["person"], correct.json["result"]) == (persons[1], "corrected")
    withdraw = ("enrolment", "participant", "withdraw", enrolment, mailbox, "--name")
    assert deelname(*withdraw, "Piet").code == 1
    assert deelname(*withdraw, "Piet de Bakker").code == 0

    assert "shares the address with 1 more" in deelname("person", "export", persons[0]).said
    file = tmp_path / "all.json"
    exported = deelname("person", "export", mailbox, "--everybody", "--output", file, "--json").json
    assert [one["registration"]["person"] for one in exported] == persons
    assert exported == json.loads(file.read_text())
    for wrong in (
        (persons[0], "--everybody"),
        (mailbox, "--everybody", "--name", "Piet"),
        (persons[0], "--name", "Piet"),
    ):
        assert deelname("person", "erase", *wrong, "--yes").code == 2
    assert deelname("person", "erase", mailbox, "--everybody", "--yes", "--json").json["people"] == persons
    assert deelname("person", "list", mailbox).code == 1

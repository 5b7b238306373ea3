"""The mailbox for development takes every mail, shows it, and lets nothing in a mail act."""

from __future__ import annotations

import http.client
import json
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from deploy.catcher.box import Box
from tests.ports import free_ports


class Catcher:
    """A catcher as a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.smtp = free_ports(2)
        self.http = self.smtp + 1
        ports = ["--smtp-port", str(self.smtp), "--http-port", str(self.http)]
        command = [sys.executable, "-m", "deploy.catcher", "--host", "127.0.0.1", "--maildir", str(directory), *ports]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        assert "takes mails" in self.process.stdout.readline()

    def get(self, path: str) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def send(self, message: EmailMessage, *to: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=5) as connection:
            connection.send_message(message, from_addr="bounces@deelname.example", to_addrs=list(to))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        assert self.process.stdout
        self.process.stdout.close()
        return code


def letter(subject: str = "Uw plaats is bevestigd – tot dan") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Deelname <deelname@deelname.example>", "noor@zeist.example"
    message["Subject"] = subject
    message.set_content("Beste Noor,\n")
    message.add_alternative("<p>Beste Noor</p><script>alert(1)</script>", subtype="html")
    message.add_attachment("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", subtype="calendar", filename="invite.ics")
    return message


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[Catcher]:
    catcher = Catcher(tmp_path / "mail")
    yield catcher
    if catcher.process.poll() is None:
        catcher.stop()


def test_a_mail_is_kept_with_its_envelope_and_shown(catcher: Catcher, tmp_path: Path) -> None:
    catcher.send(letter(), "noor@zeist.example", "sam@zeist.example")
    listed = json.loads(catcher.get("/mails")[2])["mails"]
    assert [(mail["to"], mail["subject"]) for mail in listed] == [
        ("noor@zeist.example", "Uw plaats is bevestigd – tot dan")
    ]
    assert "text/calendar" in listed[0]["parts"]
    key = listed[0]["key"]
    source = catcher.get(f"/mails/{key}/raw")[2]
    assert "Return-Path: <bounces@deelname.example>" in source
    assert "Delivered-To: sam@zeist.example" in source
    assert (tmp_path / "mail" / "new" / key).read_bytes().decode().splitlines() == source.splitlines()
    assert f"/mails/{key}" in catcher.get("/")[2]
    page = catcher.get(f"/mails/{key}")[2]
    assert "Beste Noor," in page
    assert "BEGIN:VCALENDAR" in page


def test_nothing_in_a_mail_becomes_a_part_of_the_page(catcher: Catcher) -> None:
    catcher.send(letter("<script>alert(2)</script>"), "noor@zeist.example")
    key = json.loads(catcher.get("/mails")[2])["mails"][0]["key"]
    for path in ("/", f"/mails/{key}"):
        assert "<script" not in catcher.get(path)[2]
    _, headers, body = catcher.get(f"/mails/{key}/html")
    assert "<script" in body, "the mail itself is shown as it is, in a frame"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "script-src" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/mails/none", "/mails/../../etc/passwd", "/mails/none/html", "/other"])
def test_what_is_not_there_is_not_found(catcher: Catcher, path: str) -> None:
    assert catcher.get(path)[0] == 404


def test_it_stops_in_order_and_finds_its_mails_again(catcher: Catcher, tmp_path: Path) -> None:
    catcher.send(letter(), "noor@zeist.example")
    assert catcher.stop() == 0
    assert len(Box(tmp_path / "mail", keep=10).newest_first()) == 1


def test_the_oldest_mails_go_when_there_are_too_many(tmp_path: Path) -> None:
    box = Box(tmp_path / "mail", keep=2)
    keys = [box.put(None, ["noor@zeist.example"], f"Subject: {number}\r\n\r\n".encode()) for number in range(4)]
    assert [mail.key for mail in box.newest_first()] == [keys[3], keys[2]]
    assert len(list((tmp_path / "mail" / "new").iterdir())) == 2


def test_a_mail_that_nobody_can_read_is_shown_all_the_same(tmp_path: Path) -> None:
    box = Box(tmp_path / "mail", keep=2)
    raw = b"Subject: \xff\xfe\r\nContent-Type: text/plain; charset=klingon\r\n\r\n\xff text"
    mail = box.get(box.put("a@b.example", ["c@d.example"], raw))
    assert "text" in mail.part("text/plain")
    assert isinstance(mail.header("Subject"), str)

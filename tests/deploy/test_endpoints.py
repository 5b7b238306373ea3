"""What a client in any language is told of the broker."""

from __future__ import annotations

from deploy.endpoints import entry
from deploy.identities import PARTNERS, access
from deploy.streams import streams_of


def test_a_partner_is_told_where_it_sends_and_where_it_is_answered() -> None:
    told = entry(access(["school-x"]), "school-x", "nats://broker:4222")
    intake, outcomes = streams_of(PARTNERS, ["school-x"])
    (reader,) = outcomes.consumers
    assert told["intake"]["stream"] == intake.name
    assert "intake.school-x.enrolment.request" in told["intake"]["subjects"]
    assert told["outcomes"] == {
        "stream": outcomes.name,
        "consumer": reader.name,
        "subjects": ["outcome.school-x.accepted", "outcome.school-x.refused"],
    }


def test_who_is_no_partner_is_told_the_address_and_what_proves_it() -> None:
    told = entry(access(["school-x"]), "staff", "tls://broker:4222", nkey_seed_file="staff.nk")
    assert told == {"url": "tls://broker:4222", "inbox_prefix": "_INBOX_staff", "nkey_seed_file": "staff.nk"}

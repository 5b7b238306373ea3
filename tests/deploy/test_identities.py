"""The table of who may do what."""

from __future__ import annotations

import pytest

from deploy.identities import InvalidPartner, access


@pytest.mark.parametrize("name", ["demo", "school-x", "a", "bibliotheek-2", "x" * 40])
def test_a_partner_may_be_called(name: str) -> None:
    assert access([name]).identity(name).publish[0] == f"intake.{name}.>"


@pytest.mark.parametrize(
    "name", ["", "Demo", "a.b", "a>", "*", "a b", "-a", "a-", "a--b", "a_b", "é", "x" * 41, "a\n", "$JS", '"']
)
def test_a_partner_may_not_be_called_what_is_no_word_of_a_subject(name: str) -> None:
    with pytest.raises(InvalidPartner):
        access([name])


@pytest.mark.parametrize("name", ["registration", "staff", "topology", "reporting", "monitor"])
def test_a_partner_may_not_take_a_name_of_the_system(name: str) -> None:
    with pytest.raises(InvalidPartner, match="a part of Deelname"):
        access([name])


def test_a_partner_is_listed_once() -> None:
    with pytest.raises(InvalidPartner, match="more than once"):
        access(["demo", "demo"])


def test_nobody_may_publish_everything() -> None:
    for identity in access(["demo"]).identities:
        assert not {">", "$JS.>", "$JS.API.>", "log.>", "*.>"} & set(identity.publish), identity.name


def test_only_registration_and_notifications_touch_contacts() -> None:
    touching = {
        identity.name
        for identity in access(["demo"]).identities
        if any("contacts" in subject for subject in (*identity.publish, *identity.subscribe))
    }
    # Who declares streams may make the bucket anew, and read nothing in it.
    assert {each for each in access(["demo"]).identity("topology").publish if "contacts" in each} == {
        "$JS.API.STREAM.DELETE.KV_contacts"
    }
    touching -= {"topology"}
    assert touching == {"registration", "notifications"}


def test_with_the_streams_live_only_who_declares_them_and_who_takes_intake_in() -> None:
    table = access(["demo", "school-x"])
    with_streams = {account.name for account in table.accounts if account.streams}
    assert {identity.name for identity in table.identities if identity.account in with_streams} == {
        "topology",
        "topology_partners",
        "registration_intake",
    }


def test_everybody_else_is_alone_in_an_account() -> None:
    table = access(["demo", "school-x"])
    alone = [identity.account for identity in table.identities if identity.account not in {"APP", "PARTNERS"}]
    assert len(alone) == len(set(alone)) == 8

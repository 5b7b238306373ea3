"""Who is let in over HTTP: tokens, and whom a proxy signed in."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.chassis.access import Caller, Gate, InvalidProxy, Proxy, Token, Unconfirmed, Verifier, digest, new_token

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
TEXT = "deelname_a-1_BbdTbElnDxNnvkmgJ2Lt8ZG62EtQB2Q8VYvNFC1V6Ws"  # the same in each process that names these tests
DIGEST = digest(TEXT.removeprefix("deelname_a-1_"))
KNOWN = Token("a-1", DIGEST, "organiser", ("spn",))
PROXY = Proxy.read(
    "10.0.0.0/8, ::1",
    "X-Auth-Request-User",
    "X-Auth-Request-Groups",
    "staff=viewer, zeist=organiser:bieb+spn,ict=admin",
)


def scope(peer: str = "10.1.2.3", *headers: tuple[str, str], scheme: str = "http") -> dict[str, Any]:
    named = [(name.lower().encode(), value.encode()) for name, value in headers]
    return {"type": "http", "client": (peer, 1), "headers": named, "scheme": scheme}


def verifier(token: Token = KNOWN, uses: list[tuple[str, date]] | None = None) -> Verifier:
    return Verifier(
        {token.account: token}.get, lambda: NOW, lambda *use: uses.append(use) if uses is not None else None
    )


def test_a_token_says_whose_it_is_and_the_day_of_its_use_is_told() -> None:
    uses: list[tuple[str, date]] = []
    assert verifier(uses=uses)(TEXT) == Caller("token", "a-1", "organiser", frozenset({"spn"}))
    assert uses == [("a-1", NOW.date())]


def test_a_good_token_is_not_let_in_while_nobody_knows_whether_it_was_revoked_and_others_are_nobodys() -> None:
    uses: list[tuple[str, date]] = []
    verify = Verifier({"a-1": KNOWN}.get, lambda: NOW, lambda *use: uses.append(use), lambda: True)
    with pytest.raises(Unconfirmed):
        verify(TEXT)
    assert verify(f"{TEXT}x") is None
    assert uses == []


def test_what_is_kept_of_a_token_does_not_hold_it() -> None:
    secret = TEXT.rpartition("a-1_")[2]
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    assert secret not in repr(KNOWN)
    assert digest(secret) == DIGEST
    assert new_token("a-1")[0] != TEXT


@pytest.mark.parametrize(
    "text",
    ["", "x", "deelname", "deelname_a-1", "deelname_a-1_", f"{TEXT}x", TEXT[:-1], TEXT.replace("a-1", "a-2"), DIGEST,
     f"deelname_a-1_{DIGEST}", TEXT.replace("deelname", "other"), "deelname_a-1_\ud800"],
)  # fmt: skip
def test_anything_else_is_nobodys(text: str) -> None:
    uses: list[tuple[str, date]] = []
    assert verifier(uses=uses)(text) is None
    assert uses == []


@pytest.mark.parametrize(("left", "good"), [(timedelta(seconds=1), True), (timedelta(0), False), (None, True)])
def test_a_token_ends_when_it_was_said_to(left: timedelta | None, good: bool) -> None:
    token = Token("a-1", DIGEST, "viewer", (), NOW + left if left is not None else None)
    assert (verifier(token)(TEXT) is not None) is good


@pytest.mark.parametrize("authorization", [f"Bearer {TEXT}", f"bearer {TEXT}", "Basic "])
def test_a_token_comes_as_bearer_or_as_the_password_of_basic(authorization: str) -> None:
    if authorization == "Basic ":
        authorization += base64.b64encode(f"whoever:{TEXT}".encode()).decode()
    caller = Gate(verifier()).caller(scope("192.0.2.1", ("Authorization", authorization)))
    assert caller is not None
    assert caller.name == "a-1"


@pytest.mark.parametrize(
    "said", [(TEXT,), (f"Bearer {TEXT}", f"Bearer {TEXT}"), ("Basic !!!",), ("Basic /w==",), ("Digest x",), ("Bearer",)]
)
def test_other_authorizations_are_worth_nothing(said: tuple[str, ...]) -> None:
    assert Gate(verifier()).caller(scope("192.0.2.1", *(("Authorization", one) for one in said))) is None


SIGNED_IN = ("X-Auth-Request-User", "sub-1")


@pytest.mark.parametrize(
    ("groups", "role", "organisations"),
    [
        ("staff", "viewer", set()),
        ("zeist,staff", "organiser", {"bieb", "spn"}),
        ("ict , zeist", "admin", {"bieb", "spn"}),
        ("others", None, set()),
        ("", None, set()),
    ],
)
def test_whom_the_proxy_signed_in_may_do_what_their_groups_may(
    groups: str, role: str | None, organisations: set[str]
) -> None:
    caller = Gate(proxy=PROXY).caller(scope("10.1.2.3", SIGNED_IN, ("X-Auth-Request-Groups", groups)))
    assert caller is not None
    assert (caller.kind, caller.name) == ("proxy", "sub-1")
    assert (caller.role, set(caller.organisations)) == (role, organisations)


@pytest.mark.parametrize("peer", ["192.0.2.1", "127.0.0.1", "11.0.0.1", "::2", "", "nonsense"])
def test_the_same_headers_from_anybody_else_say_nothing(peer: str) -> None:
    headers = (SIGNED_IN, ("X-Auth-Request-Groups", "ict"), ("X-Forwarded-For", "10.1.2.3"))
    assert Gate(proxy=PROXY).caller(scope(peer, *headers)) is None


def test_a_subject_that_is_said_twice_or_empty_is_nobody() -> None:
    gate = Gate(proxy=PROXY)
    assert gate.caller(scope("10.1.2.3", SIGNED_IN, ("X-Auth-Request-User", "sub-2"))) is None
    assert gate.caller(scope("10.1.2.3", ("X-Auth-Request-User", " "))) is None
    assert gate.caller(scope("10.1.2.3")) is None


def test_a_wrong_token_is_not_made_good_by_the_proxy() -> None:
    headers = (SIGNED_IN, ("X-Auth-Request-Groups", "ict"), ("Authorization", "Bearer wrong"))
    assert Gate(verifier(), PROXY).caller(scope("10.1.2.3", *headers)) is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.1.2.3", "198.51.100.7", "198.51.100.7"),
        ("10.1.2.3", "203.0.113.9, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("::ffff:10.1.2.3", "198.51.100.7", "198.51.100.7"),
        ("10.1.2.3", "203.0.113.9, nonsense", "10.1.2.3"),
        ("10.1.2.3", "", "10.1.2.3"),
    ],
)
def test_a_client_is_the_last_that_is_no_proxy_of_ours(peer: str, forwarded: str, client: str) -> None:
    assert PROXY.client(scope(peer, ("X-Forwarded-For", forwarded))) == client


def test_only_the_proxy_can_say_that_there_was_tls() -> None:
    said = ("X-Forwarded-Proto", "https")
    assert PROXY.encrypted(scope("10.1.2.3", said))
    assert not PROXY.encrypted(scope("192.0.2.1", said))
    assert PROXY.encrypted(scope("192.0.2.1", scheme="https"))


@pytest.mark.parametrize(
    ("addresses", "header", "groups"),
    [("10.0.0.1/8", None, ""), ("x", None, ""), ("", "X-User", ""), ("", None, "staff"), ("", None, "staff=boss"),
     ("", None, "=admin")],
)  # fmt: skip
def test_settings_that_can_not_be_meant_are_refused(addresses: str, header: str | None, groups: str) -> None:
    with pytest.raises(InvalidProxy):
        Proxy.read(addresses, header, None, groups)


def test_each_role_may_what_those_below_it_may() -> None:
    assert [Caller("token", "x", "organiser").may(role) for role in ("viewer", "organiser", "admin")] == [
        True,
        True,
        False,
    ]
    assert not Caller("proxy", "x", None).may("viewer")

"""What a refusal says about the address: words correct codes, and what is said about us counts against nobody."""

from __future__ import annotations

from datetime import date, timedelta
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.bouncing import DAYS_FAILING, DAYS_UNREACHABLE, Verdict, judge, worn_out
from services.notifications.domain.wording import Stage

WHO = "<noor@bibliotheek.example>"

SAID: dict[Verdict, list[tuple[str | None, str]]] = {
    "gone": [
        ("5.1.1", ""),
        ("5.1.10", ""),
        ("5.0.0", f"550 5.1.1 {WHO}... User unknown"),
        ("5.0.0", "550 No such user here"),
        ("5.7.1", f"550 5.7.1 {WHO}: Recipient address rejected: User unknown"),
        ("5.2.1", f"550 5.2.1 {WHO}... User Unknown"),
        ("5.5.0", "550 Requested action not taken: mailbox unavailable"),
        ("5.0.0", f"550 {WHO}: Recipient address rejected. (in reply to RCPT TO command)"),
        ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied. [AM0EUR02FT000.eop-EUR02.prod.example]"),
        ("5.4.1", "550 5.4.1 [noor@bibliotheek.example]: Recipient address rejected: Access denied"),
        (
            "5.4.4",
            "Host or domain name not found. Name service error for name=bibliotheek.example type=A: Host not found",
        ),
        ("5.4.310", "550 5.4.310 DNS domain bibliotheek.example does not exist"),
        ("4.0.0", "DNS Error: DNS type mx lookup of bibliotheek.example responded with code NXDOMAIN"),
        ("5.1.2", "550 Host unknown"),
        ("5.3.2", "521 5.3.2 System not accepting network messages"),
        ("4.1.1", f"450 4.1.1 {WHO}: Recipient address rejected: User unknown in virtual alias table"),
        ("5.0.0", "550 Onbekende ontvanger"),
        ("5.0.0", "Het e-mailadres dat u hebt ingevoerd, kan niet worden gevonden."),
        ("5.0.0", "De geadresseerde bestaat niet"),
        ("5.0.0", "Het domein bibliotheek.example kon niet worden gevonden"),
        ("5.0.0", "550 5.1.351 Remote server returned unknown recipient or mailbox unavailable -> 550 5.1.1 unknown"),
        ("5.0.0", "5.3.0 - Other mail system problem 550-'Unknown user noor@bibliotheek.example'"),
    ],
    "failing": [
        ("5.2.2", ""),
        ("5.1.1", "552 5.2.2 Over quota"),
        ("5.1.1", f"552 sorry, mailbox {WHO} is over quota temporarily (#5.1.1)"),
        ("5.0.0", "5.1.0 - Unknown address error 550-'5.2.2 <noor@bibliotheek.example>... Mailbox Full'"),
        ("5.2.1", "550 5.2.1 The email account that you tried to reach is disabled."),
        ("5.7.1", f"550 5.7.1 {WHO}: Recipient address rejected: User temporarily locked. Please try again later!"),
        ("5.0.0", "550 mailbox temporarily unavailable"),
        ("5.0.0", "550 : User unknown (in reply to end of DATA command)"),
        ("5.1.1", "550 5.1.1 Refused due to recipient preferences"),
        ("5.0.0", "550 Postvak is vol"),
        ("5.0.0", "Het postvak van de geadresseerde is vol"),
        ("5.0.0", "Mailbox is inactive"),
        ("5.0.0", "Domain does not exist"),
        ("4.1.1", ""),
    ],
    "unreachable": [
        ("4.4.1", ""),
        ("4.4.7", "554 4.4.7 Message expired: unable to deliver in 840 minutes. <421 4.4.2 Connection timed out>"),
        ("5.4.316", "550 5.4.316 Message expired, connection refused"),
        ("5.4.312", "550 5.4.312 Message expired, DNS query failed"),
        ("4.4.3", "Host or domain name not found. Name service error for name=x type=MX: Host not found, try again"),
        ("4.4.4", ""),
    ],
    "ours": [
        ("5.7.1", ""),
        ("4.7.650", ""),
        ("5.1.8", ""),
        ("5.1.0", "550 5.1.0 192.0.2.222 is not allowed to send from <deelname.example> by its SPF record"),
        ("5.1.1", "550 5.7.1 IP address is on a block list of the recipient"),
        ("5.1.1", f"550 5.1.1 {WHO} - 192.0.2.1 has sent to too many recipients this hour"),
        ("5.1.3", "553 http://www.spamhaus.org/query/bl?ip=192.0.2.1"),
        ("5.1.0", f"550 5.1.0 {WHO} sender rejected"),
        ("5.0.0", "554 5.7.1 <noor@bibliotheek.example>: Relay access denied"),
        (
            "5.0.0",
            "550-Verification failed for <bounce@deelname.example> 550-No Such User Here 550 Sender verify failed",
        ),
        ("5.0.0", "550 Sender address rejected: User unknown in virtual mailbox table"),
        ("5.0.0", "553 deelname.example does not exist (in reply to MAIL FROM command)"),
        ("5.3.4", "552 5.3.4 Message size exceeds fixed limit"),
        ("5.2.3", "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient"),
        ("5.0.0", "Uw bericht is geweigerd als spam"),
        ("5.0.0", "You do not have permission to send to this recipient"),
        ("5.6.0", "550 5.6.0 Lone CR or LF in body"),
        ("5.0.0", "550-5.7.26 This mail has been blocked because the sender is unauthenticated."),
    ],
}


@pytest.mark.parametrize(
    ("verdict", "status", "said"),
    [(verdict, status, said) for verdict, cases in SAID.items() for status, said in cases],
)
def test_a_refusal_is_judged_by_what_its_words_make_of_its_code(
    verdict: Verdict, status: str | None, said: str
) -> None:
    assert judge(status, said) == verdict
    # Whoever hands it on in words of his own changes nothing.
    assert said == "" or judge(None, f"host mx.bibliotheek.example[192.0.2.7] said: {said}") == verdict


@pytest.mark.parametrize(("status", "said"), [(None, ""), ("5.0.0", "554 delivery error"), ("5.0.0", "550 Nej tack")])
def test_where_neither_code_nor_words_say_anything_nothing_is_understood(status: str | None, said: str) -> None:
    assert judge(status, said) is None


def test_what_a_report_says_to_a_person_counts_where_the_server_says_nothing() -> None:
    words = "Your message wasn't delivered to noor@bibliotheek.example because the address couldn't be found."
    assert judge("5.0.0", "", words) == "gone"
    assert judge("5.2.2", "552 5.2.2 full", words) == "failing"
    assert judge("5.1.1", "", "Your message was not delivered: the mailbox is full.") == "failing"
    assert judge("5.1.1", "550 5.1.1 no such user", "We are sorry. Do read our policy on spam.") == "gone"


def test_an_address_that_was_taken_before_the_message_exists() -> None:
    assert judge("5.0.0", "550 user unknown", stage=Stage.MESSAGE) == "failing"
    transcript = "... while talking to mx.example.: >>> DATA <<< 550 Unknown user"
    assert judge("5.0.0", "550 Unknown user", transcript) == "failing"
    # In a group of commands DATA is refused because nobody is left.
    assert judge("5.0.0", "550 Unknown user", f"{transcript} <<< 554 5.5.1 Error: no valid recipients") == "gone"
    assert judge("5.1.1", "550 5.1.1 user unknown", stage=Stage.MESSAGE) == "gone"


DAY = date(2023, 3, 2)
VERDICTS = st.sampled_from(["failing", "unreachable", "ours"])
FAILURES = st.lists(st.tuples(st.integers(0, 13).map(lambda days: DAY + timedelta(days=days)), VERDICTS), max_size=30)


@given(FAILURES)
def test_only_days_count_and_what_is_ours_does_not(failures: list[tuple[date, Verdict]]) -> None:
    theirs = [each for each in failures if each[1] != "ours"]
    assert worn_out(failures) == worn_out(theirs) == worn_out(theirs * 3)
    days = {day for day, _ in theirs}
    if len(days) < DAYS_FAILING:
        assert not worn_out(failures)
    if len(days) >= DAYS_UNREACHABLE or len({day for day, verdict in theirs if verdict == "failing"}) >= DAYS_FAILING:
        assert worn_out(failures)


@pytest.mark.parametrize(
    "text",
    ["mail " * 100_000, "a" * 500_000, "user " + "x" * 500_000, ">>> data " * 50_000, "<" * 500_000, "host " * 9_999],
)
def test_no_words_take_long(text: str) -> None:
    begun = process_time()
    judge("5.0.0", text, text)
    assert process_time() - begun < 1


@given(
    st.text(max_size=300), st.text(max_size=300), st.none() | st.from_regex(r"[245]\.\d{1,3}\.\d{1,3}", fullmatch=True)
)
def test_any_words_can_be_judged(said: str, words: str, status: str | None) -> None:
    assert judge(status, said, words) in ("gone", "failing", "unreachable", "ours", None)

"""The words of a mail: the same facts in text, HTML and calendar, safe whatever was typed, readable by everyone."""

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from services.notifications import rendering
from services.notifications.hygiene import UnusableAddress
from services.notifications.letters import (
    Address,
    Confirmation,
    Contact,
    Invite,
    Lacking,
    Language,
    Letter,
    Online,
    Price,
    ProgrammeCancelled,
    Promotion,
    Purpose,
    Recipient,
    Refusal,
    Session,
    SessionCancelled,
    SessionMoved,
    Slot,
    TeamIncomplete,
    Venue,
    Waiting,
    Withdrawn,
    WithdrawnInvite,
)
from services.notifications.rendering import LetterTooLong, Rendered, Renderer
from tests.notifications.samples import (
    CALENDAR,
    CANCELLED,
    DEADLINE,
    GOUDA,
    KICK_OFF,
    PROGRAMME,
    PUBLIC_URL,
    RECIPIENTS,
    SENDER,
    SESSIONS,
    TEAMS,
    WORK_1,
    WORK_1_MOVED,
    WRAP_UP,
    WRAP_UP_IN_JANUARY,
    at,
    letter,
    life_cycle,
    render,
    renderer,
    slot,
)

MAILS = {name: (sample, rendered) for name, sample, rendered, _ in life_cycle()}
WORDS: dict[Language, str] = {"nl": "Wanneer", "en": "When"}


class Page(HTMLParser):
    """What a reader, a screen reader and a mail program find in an HTML mail."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.pieces: list[str] = []
        self.hidden: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img", "link", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "head"} & set(self.open):
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def all(self, name: str) -> Iterator[dict[str, str | None]]:
        return (attributes for tag, attributes in self.tags if tag == name)


OTHERS = (
    Recipient("Ada <b>&</b> Co", "ada@elsewhere.example", "nl"),
    Recipient("Nobody Else", "else@elsewhere.example", "en"),
    Recipient("", "nameless@elsewhere.example", "nl"),
    Recipient(SENDER.name, SENDER.mailbox, "nl"),
)


def test_what_is_shared_with_other_recipients_never_shows_in_a_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renderer that has mailed others writes the same as one that keeps nothing."""
    long_running = Renderer(SENDER, PUBLIC_URL)
    monkeypatch.setattr(rendering, "SHARED_KEPT", 0)
    forgetful = Renderer(SENDER, PUBLIC_URL)
    for sample, rendered in MAILS.values():
        for other in OTHERS:
            for role in (None, "kok"):
                mailed = sample._replace(
                    recipient=other, organisation=f"Bibliotheek {other.name}", seat="Stoel", role=role
                )
                assert long_running.render(mailed) == forgetful.render(mailed)
        assert long_running.render(sample) == forgetful.render(sample) == rendered
        assert "elsewhere" not in rendered.html + rendered.text


def facts(text: str) -> set[str]:
    """Every date, time, address and link that occurs in a text."""
    return set(re.findall(r"https?://\S+|\S+@\S+\.example|\d{1,2}:\d{2}–\d{1,2}:\d{2}|\d{1,2} [a-zA-Z]+ 20\d\d", text))


@pytest.mark.parametrize("name", sorted(MAILS))
def test_text_and_html_tell_the_same_facts(name: str) -> None:
    _, rendered = MAILS[name]
    page = Page(rendered.html)
    links = " ".join(str(a["href"]).removeprefix("mailto:") for a in page.all("a"))

    told = facts(rendered.text)
    assert told
    assert {fact.rstrip(",.") for fact in told} <= {fact.rstrip(",.") for fact in facts(f"{page.text} {links}")}
    for paragraph in rendered.text.split("\n\n"):
        for line in paragraph.splitlines():
            if not re.match(r"-- |\* |.*: ", line):
                assert line in page.text


@pytest.mark.parametrize("name", sorted(MAILS))
def test_a_page_is_accessible_and_calls_nobody_else(name: str) -> None:
    """The rules of WCAG 2.2 AA that can be read from the source; axe and eyes check the rest."""
    sample, rendered = MAILS[name]
    page = Page(rendered.html)

    language = sample.recipient.language
    assert [html["lang"] for html in page.all("html")] == [language]
    assert [div["lang"] for div in page.all("div") if div.get("role") == "article"] == [language]
    assert len(list(page.all("h1"))) == 1
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert all(th.get("scope") in ("row", "col") for th in page.all("th"))
    tables = list(page.all("table"))
    assert all(table.get("role") == "presentation" or table.get("class") == "session" for table in tables)
    assert list(page.all("img")) == []
    assert list(page.all("link")) == []
    assert "@import" not in rendered.html
    assert "googleapis" not in rendered.html
    assert ("color-scheme", "light dark") in [(meta.get("name"), meta.get("content")) for meta in page.all("meta")]
    assert "prefers-color-scheme: dark" in rendered.html
    for a in page.all("a"):
        assert re.match(r"(https://|mailto:|tel:[+0-9]+$)", str(a["href"]))
    assert "None" not in page.text
    assert "undefined" not in page.text.lower()


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_colour_of_text_stands_out_in_light_and_in_dark() -> None:
    html = MAILS["02-invite.nl"][1].html
    light, _, rest = html.partition("@media (prefers-color-scheme: dark)")
    dark = rest.partition("</style>")[0]
    shown = light + rest.partition("</style>")[2]
    pairs = {
        "light": (
            {"#1f2933", "#0b3f47", "#0b5c66"},
            {"#fbfcfc", "#f1f6f6"},
            shown,
        ),
        "quiet": ({"#4a5560"}, {"#eef1f3"}, shown),
        "dark": ({"#e4e8ec", "#f2f5f7", "#7fd3dd"}, {"#1f252b", "#262d34"}, dark),
        "dark and quiet": ({"#aab4bf"}, {"#15191d"}, dark),
        "button": ({"#fbfcfc"}, {"#0b5c66"}, shown),
        "dark button": ({"#10262a"}, {"#7fd3dd"}, dark),
    }
    for inks, papers, where in pairs.values():
        for ink in inks:
            for paper in papers:
                assert ink in where
                assert paper in where
                assert contrast(ink, paper) >= 4.5, (ink, paper)
    assert not re.search(
        r"(?<![-\w])(background|color):\s*#(000000|ffffff)\b", re.sub(r"<div style=\"display:none.*?>", "", html)
    )


@pytest.mark.parametrize("name", sorted(MAILS))
def test_the_preheader_comes_first_and_reads_well_when_seen(name: str) -> None:
    rendered = MAILS[name][1]
    first = Page(
        rendered.html[rendered.html.index("<body") : rendered.html.index('role="article"')] + '"></div></body>'
    ).text

    assert len(first) > 15
    assert first[0].isupper() or first[0].isdigit() or first.split()[0] in ("dinsdag", "maandag")
    assert first not in rendered.subject


def test_a_confirmation_lists_every_session_and_says_which_has_no_date_yet() -> None:
    text = render(Confirmation(SESSIONS)).text

    assert [text.index(session.title) for session in SESSIONS] == sorted(
        text.index(session.title) for session in SESSIONS
    )
    assert "dinsdag 20 juni 2023, 10:00–13:00 uur" in text
    assert "Waar: Bibliotheek Gouda, Agnietenstraat 100, Gouda" in text
    assert "Lunch: wordt verzorgd" in text
    assert "Digitale wrap-up\nWanneer: datum volgt\nWaar: Online, link volgt" in text
    english = render(Confirmation(SESSIONS), "en").text
    assert "When: Tuesday 20 June 2023, 10:00–13:00 (Amsterdam time)" in english
    assert "Digitale wrap-up\nWhen: date to follow\nWhere: Online, link to follow" in english


def test_what_is_known_instead_of_a_date_is_told() -> None:
    wrap_up = Session("wrap-up", "Digitale wrap-up", Slot(place=Online(), period="januari 2024"))
    rendered = render(Confirmation((wrap_up,)))

    assert "Wanneer: januari 2024, precieze datum en tijd volgen" in rendered.text
    assert "januari 2024, precieze datum en tijd volgen" in rendered.html
    assert "Wanneer: datum volgt" not in rendered.text


def test_the_first_session_is_the_earliest_not_the_first_of_the_list() -> None:
    later_first = render(Confirmation((WRAP_UP, WORK_1, KICK_OFF)))

    assert "Eerste bijeenkomst: dinsdag 23 mei 2023, 15:00 uur." in later_first.html
    assert "De datum volgt." in render(Confirmation((WRAP_UP,))).html


@pytest.mark.parametrize(
    ("language", "one", "many"),
    [
        ("nl", "Hieronder staat de bijeenkomst.", "alle bijeenkomsten"),
        ("en", "The session is listed below.", "All sessions"),
    ],
)
def test_one_session_and_several_are_told_apart(language: Language, one: str, many: str) -> None:
    assert one in render(Confirmation((WORK_1,)), language).text
    assert many in render(Confirmation(SESSIONS), language).text
    assert many in render(Promotion(SESSIONS), language).text
    for missing, people, words in (
        (("A",), None, ("een naam:", "1 name:")),
        (("A", "B"), None, ("2 namen:", "2 names:")),
        (("2 × A",), 2, ("2 namen:", "2 names:")),
    ):
        lacking = Lacking(missing, DEADLINE, people=people)
        for occasion in (TeamIncomplete(lacking), Confirmation(SESSIONS, lacking), Promotion(SESSIONS, lacking)):
            assert words[language == "en"] in render(occasion, language).text


@pytest.mark.parametrize(("language", "words"), [("nl", "De datum hoor je nog van ons."), ("en", "you know the date")])
def test_a_confirmation_without_any_session_promises_no_list(language: Language, words: str) -> None:
    for occasion in (Confirmation(()), Promotion(())):
        text = render(occasion, language).text
        assert words in text
        assert "Hieronder" not in text
        assert "below" not in text


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (Price(Decimal("49.50")), "Prijs: € 49,50\n"),
        (Price(Decimal(99), people=2), "Prijs: € 99,00 voor 2 personen samen\n"),
        (Price(Decimal(250), people=3, team=True), "Prijs: € 250,00 voor het hele team\n"),
        (Price(Decimal(0), people=3), "Prijs: gratis\n"),
    ],
    ids=["one person", "two people", "a team", "free"],
)
def test_who_takes_part_or_waits_is_told_what_it_costs(price: Price, words: str) -> None:
    for occasion in (Confirmation(SESSIONS), Promotion(SESSIONS), Waiting(3)):
        rendered = renderer().render(letter(occasion)._replace(price=price))
        assert words in rendered.text
        assert words.removeprefix("Prijs: ").strip() in rendered.html
    invited = renderer().render(letter(Invite(WORK_1, CALENDAR))._replace(price=price))
    assert "Prijs" not in invited.text
    assert "Prijs" not in renderer().render(letter(Waiting(3))._replace(price=None)).text


def test_an_online_session_names_the_platform_that_the_programme_names_else_the_one_of_its_link() -> None:
    def where(place: Online) -> str:
        session = replace(KICK_OFF, slot=replace(KICK_OFF.slot, place=place))
        rendered = renderer().render(letter(Invite(session, CALENDAR)))
        found = re.search(rb"\r\nLOCATION:(.*)\r\n", rendered.calendar or b"")
        assert found is not None
        location = found[1].decode().replace("\\,", ",")
        assert f"Waar: {location}\n" in rendered.text
        return location

    assert where(Online("https://ontmoeten.example/1", "Jitsi")) == "Online (Jitsi)"
    assert where(Online("https://teams.microsoft.com/1")) == "Online (Teams)"
    assert where(Online(None, "Teams")) == "Online (Teams), link volgt"
    assert where(Online()) == "Online, link volgt"


def test_times_are_those_of_the_netherlands_in_summer_and_in_winter() -> None:
    winter = Session("w", "Werksessie 3", Slot(at(11, 16, 9), at(11, 16, 12), GOUDA))

    assert "donderdag 16 november 2023, 10:00–13:00 uur" in render(Confirmation((winter,))).text
    assert "dinsdag 20 juni 2023, 10:00–13:00 uur" in render(Confirmation((WORK_1,))).text


def test_a_session_over_two_days_names_both() -> None:
    retreat = Session("r", "Tweedaagse", Slot(at(11, 16, 9), at(11, 17, 12), GOUDA))

    text = render(Confirmation((retreat,))).text
    assert "donderdag 16 november 2023 om 10:00 uur – vrijdag 17 november 2023 om 13:00 uur" in text


def test_a_moved_session_shows_what_was_and_what_is() -> None:
    rendered = render(SessionMoved(WORK_1_MOVED, WORK_1.slot, replace(CALENDAR, sequence=1)))

    assert "Was: dinsdag 20 juni 2023, 10:00–13:00 uur" in rendered.text
    assert "Wordt: dinsdag 27 juni 2023, 14:00–16:00 uur" in rendered.text
    assert "Locatie was: Bibliotheek Gouda, Agnietenstraat 100, Gouda" in rendered.text
    assert "Locatie wordt: Online (Teams)" in rendered.text
    assert "<s>dinsdag 20 juni 2023, 10:00–13:00 uur</s>" in rendered.html
    assert "<s>dinsdag 27" not in rendered.html
    assert rendered.method == "REQUEST"


@pytest.mark.parametrize(
    ("before", "subject"),
    [
        (slot(6, 13, 8, 11), "Nieuwe datum 20 juni"),
        (slot(6, 20, 7, 11), "Nieuwe tijd 20 juni, 10:00 uur"),
        (slot(6, 20, 8, 11, Venue("Bieb")), "Andere locatie op 20 juni"),
        (slot(6, 20, 8, 11, TEAMS), "Andere locatie op 20 juni"),
        (Slot(), "Nieuwe datum 20 juni"),
    ],
)
def test_the_subject_of_a_move_says_what_changed(before: Slot, subject: str) -> None:
    assert render(SessionMoved(WORK_1, before, CALENDAR)).subject == f"{subject}: {WORK_1.title}"


def test_a_new_join_link_is_told_as_such() -> None:
    before = replace(KICK_OFF.slot, place=Online("https://teams.microsoft.com/old"))
    rendered = render(SessionMoved(KICK_OFF, before, CALENDAR))

    assert rendered.subject == "Nieuwe link voor 23 mei: Kick-off"
    assert str(TEAMS.link) in rendered.text
    assert "old" not in rendered.text


def test_practical_data_and_join_link_stand_in_text_html_and_calendar() -> None:
    rendered = render(Invite(KICK_OFF, CALENDAR))
    assert rendered.calendar is not None
    calendar = rendered.calendar.decode().replace("\r\n ", "")
    join = str(TEAMS.link)

    assert join in rendered.text
    assert f'href="{join.replace("&", "&amp;")}"' in rendered.html
    assert f"DESCRIPTION:Meedoen: {join}\\n" in calendar
    assert calendar.count(join) == 2
    for fact in ("Online (Teams)", "katja@bisc.example", f"{PUBLIC_URL}/programmes/{PROGRAMME.id}"):
        assert fact in rendered.text
        assert fact in calendar
    assert "Lunch: wordt verzorgd" in render(Invite(WORK_1, CALENDAR)).text


def test_cancelled_sessions_show_no_way_in() -> None:
    rendered = render(SessionCancelled(KICK_OFF, CALENDAR))

    assert str(TEAMS.link) not in rendered.text + rendered.html
    assert rendered.calendar is not None
    assert b"teams.microsoft.com" not in rendered.calendar
    assert rendered.method == "CANCEL"
    assert "nieuwe datum" not in rendered.text
    assert "nieuwe datum" in render(SessionCancelled(KICK_OFF, CALENDAR, postponed=True)).text


def test_who_is_not_to_join_is_promised_no_link() -> None:
    session = replace(KICK_OFF, slot=replace(KICK_OFF.slot, place=Online(None, "Zoom")))
    for occasion in (
        Withdrawn((session,)),
        WithdrawnInvite(session, CANCELLED),
        SessionCancelled(session, CANCELLED),
        ProgrammeCancelled((session,)),
    ):
        rendered = render(occasion)
        assert "Waar: Online (Zoom)\n" in rendered.text
        assert "link" not in rendered.text


def test_a_session_without_a_date_is_called_off_in_words_alone() -> None:
    for language, month, subject in (
        ("nl", "januari 2024", "Gaat niet door: Digitale wrap-up"),
        ("en", "January 2024", "Cancelled: Digitale wrap-up"),
    ):
        rendered = render(SessionCancelled(WRAP_UP_IN_JANUARY[language]), language)  # type: ignore[index,arg-type]
        assert (rendered.subject, rendered.calendar) == (subject, None)
        assert month in rendered.text
        assert f"<s>{month}</s>" in rendered.html
        assert not re.search("agenda|calendar|datum volgt|date follows", rendered.text)
    assert "Wanneer" not in render(SessionCancelled(WRAP_UP)).text, "of a date nothing was ever known"


@pytest.mark.parametrize("name", sorted(MAILS))
def test_only_the_calendar_purposes_carry_a_calendar(name: str) -> None:
    sample, rendered = MAILS[name]
    methods = {
        "invite": "REQUEST",
        "session-moved": "REQUEST",
        "session-cancelled": "CANCEL",
        "withdrawn-invite": "CANCEL",
        "readdressed": "CANCEL",
    }

    undated = WRAP_UP_IN_JANUARY[sample.recipient.language]
    in_words = sample.occasion in (SessionCancelled(undated), Invite(undated, again=True))
    assert rendered.method == (None if in_words else methods.get(sample.purpose))
    assert (rendered.calendar is not None) == (rendered.method is not None)


def test_the_organiser_is_never_invited_to_their_own_session() -> None:
    sample = letter(Invite(WORK_1, CALENDAR))._replace(recipient=Recipient("Team", SENDER.mailbox.upper(), "nl"))
    rendered = renderer().render(sample)

    assert rendered.calendar is None
    assert rendered.method is None
    assert "Accepteren" not in rendered.text


HOSTILE = '<script>alert(1)</script> & "x" {{ 7*7 }} {% raw %}\r\nBcc: evil@x.example'


def hostile(text: str) -> Letter:
    session = Session("s", text, slot(6, 20, 8, 11, Venue(text, text)))
    programme = replace(PROGRAMME, title=text, description=text, organisers=(text,), content=Contact(text, None, text))
    return letter(Invite(session, CALENDAR), programme=programme)._replace(
        recipient=Recipient(text, "noor@x.example"),
        organisation=text,
        role=text,
    )


def test_typed_markup_and_template_code_stay_text() -> None:
    rendered = renderer().render(hostile(HOSTILE))

    assert "<script>alert" not in rendered.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in rendered.html
    assert "{{ 7*7 }}" in rendered.html
    assert "49" not in rendered.subject
    assert "&amp;" not in rendered.subject + rendered.text
    assert "\n" not in rendered.subject
    assert not re.search(r"^Bcc", rendered.text, re.MULTILINE)


@given(st.text(max_size=60))
def test_any_text_renders_and_keeps_the_page_whole(text: str) -> None:
    rendered = renderer().render(hostile(text))

    assert "\n" not in rendered.subject
    assert "\r" not in rendered.subject + rendered.text
    assert len(list(Page(rendered.html).all("h1"))) == 1


def test_a_join_link_that_is_no_web_address_is_told_but_not_clickable() -> None:
    session = replace(KICK_OFF, slot=replace(KICK_OFF.slot, place=Online("javascript:alert(1)")))
    rendered = render(Invite(session, CALENDAR))

    assert "Meedoen: javascript:alert(1)" in rendered.text
    assert 'href="javascript' not in rendered.html
    assert rendered.calendar is not None
    assert b"CONFERENCE" not in rendered.calendar


def test_contacts_without_a_usable_mailbox_are_named_without_a_link() -> None:
    programme = replace(PROGRAMME, content=Contact("Elin", "elin at home"), enrolment=None)
    rendered = renderer().render(letter(Confirmation(SESSIONS), programme=programme))

    assert "Over de inhoud: Elin\n" in rendered.text
    assert "mailto:" not in rendered.html


def test_one_contact_for_everything_is_named_once() -> None:
    contact = Contact("Elin", "elin@x.example")
    text = renderer().render(letter(Waiting(), programme=replace(PROGRAMME, content=contact, enrolment=contact))).text

    assert text.count("elin@x.example") == 1
    assert "Over de inhoud en je aanmelding: Elin" in text
    assert "Dan komt je mail bij Elin." in text
    assert "als nummer" not in text


def test_a_programme_without_anything_optional_still_gives_a_whole_mail() -> None:
    bare = replace(PROGRAMME, organisers=(), description="", content=None, enrolment=None)
    sample = Letter(RECIPIENTS["nl"], bare, Confirmation((WRAP_UP,)))
    rendered = Renderer(SENDER, "").render(sample)

    assert "Hartelijke groet,\nDeelname" in rendered.text
    assert "Heb je vragen?" not in rendered.text
    assert "http" not in rendered.text
    assert "\n\n\n" not in rendered.text


@pytest.mark.parametrize("name", sorted(MAILS))
def test_no_text_has_holes_or_trailing_space(name: str) -> None:
    text = MAILS[name][1].text

    assert "\n\n\n" not in text
    assert not re.search(r"[ \t]+$", text.replace("\n-- \n", "\n"), re.MULTILINE)
    assert "  " not in text


def test_equal_letters_give_equal_bytes_from_different_renderers() -> None:
    sample = letter(Invite(WORK_1, CALENDAR))

    assert Renderer(SENDER, PUBLIC_URL).render(sample) == renderer().render(sample)


def test_every_purpose_has_words_in_every_language_or_the_renderer_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    source = rendering._source
    # Compiled anew, and not taken from what this process has compiled before.
    monkeypatch.setattr(rendering, "templates", rendering.Templates)
    monkeypatch.setattr(
        rendering,
        "_source",
        lambda name: "{% block subject %}x{% endblock %}" if name == "en/waiting.j2" else source(name),
    )

    with pytest.raises(ValueError, match=r"en/waiting\.j2 lacks the blocks closing, heading, opening, preheader"):
        Renderer(SENDER, PUBLIC_URL)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("{{ programme.titel }}", UndefinedError),
        ("{{ programme.__class__ }}", UndefinedError),
        ("{{ 'a' * 1000000000 }}", TypeError),
        ("{{ '%999999999d' % 1 }}", TypeError),
        ("{{ range(9) }}", UndefinedError),
        ("{{ lipsum() }}", UndefinedError),
        ("{{ plural.__globals__ }}", UndefinedError),
        ("{{ sessions.append(1) }}", (UndefinedError, SecurityError)),
    ],
)
def test_a_template_can_neither_be_wrong_in_silence_nor_reach_further_than_its_words(code: str, error: Any) -> None:
    for autoescape in (False, True):
        template = rendering._environment(autoescape=autoescape).from_string(code)
        with pytest.raises(error):
            template.render(programme={"title": "x"}, sessions=[], plural=len)


def test_a_mail_that_grows_beyond_all_measure_is_refused() -> None:
    with pytest.raises(LetterTooLong):
        render(Refusal(tuple(f"reden {number} {'x' * 100}" for number in range(3000))))


def test_a_sender_that_nobody_can_answer_is_refused() -> None:
    with pytest.raises(UnusableAddress):
        Renderer(Address("Deelname", "deelname"), PUBLIC_URL)


def test_words_of_each_language_stay_in_their_own_mails() -> None:
    for name, (sample, rendered) in MAILS.items():
        own = sample.recipient.language
        other: Language = "en" if own == "nl" else "nl"
        if sample.occasion.purpose in ("confirmation", "invite", "promotion"):
            assert WORDS[own] in rendered.text, name
            assert WORDS[other] not in rendered.text, name


def test_both_languages_have_the_same_labels() -> None:
    labels = {language: renderer()._labels[language] for language in get_args(Language)}

    assert set(labels["nl"]) == set(labels["en"])
    assert len(get_args(Purpose)) * 2 == len(renderer()._words)
    assert isinstance(render(Waiting(1)), Rendered)

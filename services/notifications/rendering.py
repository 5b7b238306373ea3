"""A letter turned into words: subject, plain text, HTML and calendar part.

The words of each purpose stand once, in `templates/<language>/<purpose>.j2`, and are shared by the text and the HTML
layout, so that the two can never say different things. The MJML layout is compiled once, when a `Renderer` is made.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, get_args

from babel import Locale
from jinja2 import FunctionLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from mjml import mjml2html

from services.chassis.dates import LOCALES, moment
from services.notifications import invitation, views
from services.notifications.hygiene import line, link, mailbox, paragraphs, shortened
from services.notifications.letters import (
    Address,
    CalendarOccasion,
    Confirmation,
    Invite,
    Language,
    Letter,
    ProgrammeCancelled,
    Promotion,
    Purpose,
    Refusal,
    SessionCancelled,
    SessionMoved,
    TeamIncomplete,
    Waiting,
    Withdrawn,
    WithdrawnInvite,
)
from services.notifications.views import View

LONGEST_OUTPUT = 200_000
"""Characters of one part. A mail beyond this is a mistake in its input, and Gmail would clip it long before."""

LONGEST_SUMMARY_OF_PROGRAMME = 400

_BLOCKS = ("subject", "preheader", "heading", "opening", "closing")


class LetterTooLong(ValueError):  # noqa: N818  (reads as what is the matter)
    """A rendered part exceeds `LONGEST_OUTPUT`."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The words of one mail. `calendar` and `method` are both set or both None."""

    subject: str
    text: str
    html: str
    calendar: bytes | None = None
    method: invitation.Method | None = None


class _Sandbox(ImmutableSandboxedEnvironment):
    """A template may look into dicts and nothing else, and has no operator that makes gigabytes of a short string."""

    intercepted_binops = frozenset(("*", "**", "%"))

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return self.undefined(obj=obj, name=attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        raise TypeError(f"a mail template may not use the operator {operator}")


@dataclass(frozen=True, slots=True)
class _Words:
    """One purpose in one language: the blocks of its template, each a function from a context to pieces of text."""

    template: Template
    blocks: tuple[Callable[..., Iterable[str]], ...]

    def say(self, view: dict[str, Any]) -> list[str]:
        context = self.template.new_context(view)
        return ["".join(block(context)) for block in self.blocks]


class Renderer:
    """Renders letters. Make one and keep it: templates are read, compiled and checked here, and never again.

    `sender` is the stable From of every mail and the ORGANIZER of every invitation, a mailbox that somebody reads;
    `public_url` is where the pages of the programmes stand, for programmes that name no page of their own.
    Raises UnusableAddress for a sender that no mail can come from, and a Jinja error for a broken template.
    """

    def __init__(self, sender: Address, public_url: str) -> None:
        self.sender = Address(line(sender.name), mailbox(sender.mailbox))
        self.public_url = (link(public_url) or "").rstrip("/")
        plain, page = _environment(autoescape=False), _environment(autoescape=True)
        words = plain.overlay(trim_blocks=False)
        self._text = plain.get_template("layout.txt")
        self._description = plain.get_template("description.txt")
        self._html = page.get_template("layout.html")
        languages: tuple[Language, ...] = get_args(Language)
        purposes: tuple[Purpose, ...] = get_args(Purpose)
        self._labels = {language: _labels(words.get_template(f"{language}/labels.j2")) for language in languages}
        self._words = {
            (purpose, language): _words(words.get_template(f"{language}/{purpose}.j2"))
            for purpose in purposes
            for language in languages
        }

    def render(self, letter: Letter) -> Rendered:
        """The mail in the recipient's language. Equal letters give equal bytes.

        An occasion with a calendar gives no calendar part if the recipient is the organiser's own mailbox: calendars
        refuse to let organisers invite themselves. Raises UnusableAddress and LetterTooLong.
        """
        language = letter.recipient.language
        labels = self._labels[language]
        view = self._view(letter, labels)
        subject, preheader, heading, opening, closing = self._words[letter.purpose, language].say(view)
        view["subject"] = line(subject)
        view["preheader"] = line(preheader)
        view["heading"] = line(heading)
        view["opening"] = paragraphs(opening)
        view["closing"] = paragraphs(closing)
        text = self._text.render(view)
        html = self._html.render(view)
        if len(text) > LONGEST_OUTPUT or len(html) > LONGEST_OUTPUT:
            raise LetterTooLong(f"a mail of {max(len(text), len(html))} characters for purpose {letter.purpose}")
        if not view["invitation"]:
            return Rendered(view["subject"], text, html)
        assert isinstance(letter.occasion, CalendarOccasion)  # noqa: S101  (narrows for the type checker)
        message = self._invitation(letter, letter.occasion, view)
        return Rendered(view["subject"], text, html, invitation.write(message), message.method)

    def _view(self, letter: Letter, labels: View) -> dict[str, Any]:
        """Everything a template may see: strings, numbers, lists and dicts of them, and one function for plurals."""
        language = letter.recipient.language
        programme = letter.programme
        occasion = letter.occasion
        title = views.title_of(programme.title)
        organisers = [name for organiser in programme.organisers if (name := line(organiser))]
        description = next(iter(paragraphs(programme.description)), "")
        contacts = views.of_contacts(programme.content, programme.enrolment, labels)
        view: dict[str, Any] = {
            "language": language,
            "labels": labels,
            "plural": _plural(language),
            "sender": self.sender.mailbox,
            "greeting": f"{labels['greeting']} {views.title_of(letter.recipient.name)},",
            "signature": views.enumeration(organisers, labels["and"]) or self.sender.name,
            "footer": labels["footer"].replace("{programme}", title),
            "page": self._page(letter),
            "programme": {"title": title, "description": shortened(description, LONGEST_SUMMARY_OF_PROGRAMME)},
            "contacts": contacts,
            "details": [],
            "points": [],
            "sessions": [],
            "session": None,
            "first": None,
            "invitation": False,
        }
        match occasion:
            case Confirmation(sessions) | Promotion(sessions):
                view["sessions"] = [views.of_session(session, labels, language) for session in sessions]
                dated = [session for session in sessions if session.slot.start is not None]
                if dated:
                    earliest = min(dated, key=views.start_of)
                    view["first"] = view["sessions"][sessions.index(earliest)]
                view["details"] = views.of_capacity(letter, labels)
            case Waiting(place):
                view["place"] = place
                view["details"] = views.of_capacity(letter, labels)
            case Refusal(reasons):
                view["points"] = [reason for text in reasons if (reason := line(text))]
            case TeamIncomplete(missing, deadline):
                view["points"] = [seat for text in missing if (seat := line(text))]
                view["deadline"] = moment(deadline, language)
            case ProgrammeCancelled(sessions, reason):
                view["reason"] = line(reason or "")
                view["sessions"] = [views.of_session(session, labels, language, struck=True) for session in sessions]
            case Withdrawn(sessions):
                view["sessions"] = [views.of_session(session, labels, language, brief=True) for session in sessions]
            case SessionCancelled(session, _, postponed):
                view["postponed"] = postponed
                view["session"] = views.of_session(session, labels, language, struck=True)
            case WithdrawnInvite(session):
                view["session"] = views.of_session(session, labels, language, brief=True)
            case Invite(session):
                view["session"] = views.of_session(session, labels, language)
                view["details"] = views.of_capacity(letter, labels)
            case SessionMoved(session, before):
                view["change"] = views.change_of(before, session.slot)
                view["session"] = views.of_session(session, labels, language, before=before)
        if view["session"] is not None:
            view["sessions"] = [view["session"]]
            view["invitation"] = mailbox(letter.recipient.mailbox).lower() != self.sender.mailbox.lower()
        return view

    def _page(self, letter: Letter) -> str:
        if letter.programme.page:
            return link(letter.programme.page) or ""
        return link(f"{self.public_url}/programmes/{letter.programme.id}") or "" if self.public_url else ""

    def _invitation(self, letter: Letter, occasion: CalendarOccasion, view: View) -> invitation.Invitation:
        session, slot = view["session"], occasion.session.slot
        assert slot.start is not None  # noqa: S101  (letters refuses a calendar occasion without a date)
        assert slot.end is not None  # noqa: S101
        cancelled = isinstance(occasion, SessionCancelled | WithdrawnInvite)
        title = session["title"]
        return invitation.Invitation(
            method="CANCEL" if cancelled else "REQUEST",
            calendar=occasion.calendar,
            start=slot.start,
            end=slot.end,
            summary=title if title == view["programme"]["title"] else f"{title} ({view['programme']['title']})",
            description=self._description.render(view),
            location=session["where"],
            organiser=self.sender,
            attendee=Address(letter.recipient.name, letter.recipient.mailbox),
            off=isinstance(occasion, SessionCancelled),
            join=session["join"] if session["clickable"] else None,
            join_label=view["labels"]["join"],
            reminder=title,
            page=view["page"],
        )


def _environment(*, autoescape: bool) -> _Sandbox:
    environment = _Sandbox(
        loader=FunctionLoader(_source),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.clear()
    return environment


def _source(name: str) -> str:
    templates = files("services.notifications") / "templates"
    if name != "layout.html":
        return (templates / name).read_text(encoding="utf-8")
    layout = (templates / "layout.mjml").read_text(encoding="utf-8")
    # Without fonts={} the compiler links a third party's web font, and every reader would be reported to it.
    compiled = mjml2html(layout, disable_comments=True, fonts={})
    return re.sub(r"\s*\n\s*", " ", re.sub(r">\s*\n\s*", ">", str(compiled)))


def _labels(template: Template) -> View:
    return {name: str(value) for name, value in vars(template.module).items() if not name.startswith("_")}


def _words(template: Template) -> _Words:
    missing = set(_BLOCKS) - set(template.blocks)
    if missing:
        raise ValueError(f"{template.name} lacks the blocks {', '.join(sorted(missing))}")
    return _Words(template, tuple(template.blocks[name] for name in _BLOCKS))


@lru_cache
def _plural(language: Language) -> Callable[[int, str, str], str]:
    form = Locale.parse(LOCALES[language]).plural_form

    def plural(count: int, one: str, other: str) -> str:
        return one if form(count) == "one" else other

    return plural

"""What a person's name may look like: whatever people are called, and nothing that somebody could advertise with."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from contracts.characters import JOINERS, Unfit, refuse_invisible, trimmed, unfit_character

LONGEST: Final = 80
"""Characters (code points, composed)."""
MOST_WORDS: Final = 8
_LONGEST_TYPED: Final = 400
"""Code points beyond which text is not looked at: composing 80 characters never takes as many."""

_SIGNS: Final = frozenset("'.,·・‧＝&/()\"!:`´׳״՚་፡′„‚")
_CATEGORIES: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pd", "Pi", "Pf", "Zs"})
_EASY: Final = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ]+(?:[ '-][A-Za-zÀ-ÖØ-öø-ÿ]+)*")

_ASCII_SIGNS: Final = """ !"&'(),./:`-"""
NEVER: Final = (
    r"[#$%*+;<=>?@\[\]\\^_{|}~]|//|[Ww]{3}\."
    rf"|[0-9][{_ASCII_SIGNS}]*[0-9]|^[0-9{_ASCII_SIGNS}]+$|^(?:\S+\s+){{{MOST_WORDS}}}\S"
)
"""For schemas: what no name has in it, of what is looked at here; which words are hosts, no schema can say."""

_DIGITS: Final = re.compile(r"\d[^\w]*\d")
_WEB: Final = re.compile(
    r"//|\bwww|www\.|\b(?:https?|hxxps?|ftps?|mailto)\b"  # also without the rest of an address
    r"|\w\w:"  # a scheme; 'S:son' and 'B:son' are Swedish
    r"|[!:](?!\w)"
)
_DOTTED: Final = re.compile(r"([\w-]+)\.([\w-]+)(?![\w-]|\.[\w-])(/?)(\s+\w)?")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SURELY: Final = _words("""
com net org info biz edu gov mil int nl eu uk io arpa example test invalid localhost onion
""")
"""Last labels of hosts that nobody is called by, so that not even an initial may stand before them."""
_DOMAINS: Final = _words("""
academy agency amsterdam app art asia bar best bet bid bio blog buzz cafe cam care casa cash casino cat center
chat church city click cloud club coffee community company computer cool credit date dating deals design dev
digital direct dog download earth email energy events exchange expert express faith fans fashion finance fit
fitness fund fun fyi games gift gifts global gold group guru health help homes host hosting house icu immo
institute jobs lat law legal life lighting link live loan loans lol love ltd market marketing media mobi
mobile money monster movie news ninja nrw one ong online page party pay photo photos pics pizza plus poker
porn press pro promo property pub quest radio realty red rent repair report rest review reviews rocks run sale
school science security services sex sexy shop shopping show site ski social software solar solutions space
sport store stream studio style support surf systems tax team tech technology tel tickets tips today tokyo
tools top tours town toys trade trading training travel tube university vacations video vip vlaanderen voting
watch web webcam website wiki win wine work works world wtf xxx xyz yoga zip zone frl gent brussels рф москва
онлайн сайт орг ком дети 中国 中國 公司 网络 網路 网站 在线 中文网 みんな コム クラウド 닷컴 닷넷 한국
भारत संगठन
شبكة موقع بازار ایران السعودية مصر امارات
""")
_TITLES: Final = _words("""
dr drs ir ing mr mrs ms prof ds st ste sr jr fr br pr ph th chr joh jac jos jhr ba bc bsc ma msc mw mevr dhr
hr fam mgr mag hc phil med vet dipl pater past em rev sint sta san
""")
"""What is written before a dot, and a name after it without a space."""
_PARTICLES: Final = _words("""
al am da de del der di do du el im in la le li op te ten ter van von zu
""")
_LONGEST_ABBREVIATION: Final = 4


def name(text: str) -> str:
    """
    A person's name as it is kept: composed (NFC, UAX #15), with single spaces, and nothing invisible at its edges.

    Letters of all scripts, their marks, apostrophes, hyphens and what else stands in names may be in it. It is judged
    in its compatible form (NFKC), in which full-width and other disguises of ``@``, ``://`` or digits are what they
    look like.

    Raises:
        Unfit: it is empty, longer than 80 characters or 8 words, has no letter, or has what belongs into an address of
            mail or of a website, digits in a row, line breaks, or signs that stand in nobody's name.
    """
    text = trimmed(text)
    if len(text) > _LONGEST_TYPED:
        raise _too_long()
    refuse_invisible(text)
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if not text:
        raise Unfit("A name must not be empty.", "Vul een naam in.", "empty")
    if len(text) > LONGEST:
        raise _too_long()
    if text.count(" ") >= MOST_WORDS:
        raise Unfit(
            f"A name has at most {MOST_WORDS} words.", f"Een naam heeft hoogstens {MOST_WORDS} woorden.", "too-long"
        )
    plain = _plain(text)
    _refuse_addresses(plain)
    if _EASY.fullmatch(text):
        return text
    if _DIGITS.search(plain):
        raise Unfit("A name has no digits in a row.", "In een naam staan geen cijfers achter elkaar.", "advertises")
    for number, character in enumerate(text, 1):
        if not _belongs(character):
            raise unfit_character(character, number)
    if not any(map(str.isalpha, text)):
        raise Unfit("A name has at least one letter.", "In een naam staat ten minste één letter.")
    return text


def _too_long() -> Unfit:
    return Unfit(f"A name has at most {LONGEST} characters.", f"Een naam heeft hoogstens {LONGEST} tekens.", "too-long")


def _plain(text: str) -> str:
    """As it looks: without case, disguises and joiners."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("。", ".").translate(_UNJOINED)
    return text.casefold()


_UNJOINED: Final = dict.fromkeys([*map(ord, JOINERS), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])


def _refuse_addresses(plain: str) -> None:
    if "@" in plain:
        raise Unfit(
            "A name has no @: an address of mail has a field of its own.",
            "In een naam staat geen @: voor een e-mailadres is er een eigen veld.",
            "advertises",
        )
    if _WEB.search(plain) or ("." in plain and any(map(_is_host, _DOTTED.finditer(plain)))):
        raise Unfit(
            "This looks like the address of a website. Leave it out, or write a space after the dot.",
            "Dit lijkt op een webadres. Laat het weg, of zet een spatie na de punt.",
            "advertises",
        )


def _is_host(dotted: re.Match[str]) -> bool:
    """Whether a word with a dot in it is the name of a host, and not initials, a title or an abbreviation."""
    label, last, path, more = dotted.groups()
    if last in _SURELY or last.startswith("xn--"):
        return True
    if len(last) == 1 or (len(label) == 1 and not path):
        return False
    if path:
        return len(label) > 1 or len(last) == 2
    if label in _TITLES:
        return False
    if last in _PARTICLES and len(label) <= _LONGEST_ABBREVIATION and more:
        return False
    return last in _DOMAINS or len(last) == 2


def _belongs(character: str) -> bool:
    return character in _SIGNS or all(
        each in _SIGNS or unicodedata.category(each) in _CATEGORIES or each in JOINERS
        for each in unicodedata.normalize("NFKC", character)
    )

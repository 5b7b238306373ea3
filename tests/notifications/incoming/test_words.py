"""What a mail says to a person is read in the character set that it names, where that is one."""

from __future__ import annotations

import pytest

from services.notifications.incoming.bounds import parse
from services.notifications.incoming.words import words_of


def words(octets: bytes, charset: str) -> str:
    message = parse(f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode() + octets)
    return words_of([message]).strip()


@pytest.mark.parametrize(
    ("charset", "said"),
    [
        ("utf-8", "Café"),
        ("windows-1252", "Café"),
        ("ISO-8859-15", "Café € 5"),
        ("iso-2022-jp", "ユーザーが存在しません"),
        ("shift_jis", "ユーザーが存在しません"),
        ("koi8-r", "Почтовый ящик"),
        ("gb18030", "用户不存在"),
    ],
)
def test_words_are_read_in_the_character_set_that_they_name(charset: str, said: str) -> None:
    assert words(said.encode(charset), charset) == said


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "rot13", "undefined", "nonsense", "\u00e9"])
def test_what_is_no_character_set_is_asked_of_no_decoder(charset: str) -> None:
    assert words(b"mailbox full-\\x41", charset) == "mailbox full-\\x41"


@pytest.mark.parametrize(
    ("markup", "said"),
    [
        ("<style>a < b</style>full", "full"),
        ("<STYLE type=x>p{}</STYLE >full", "full"),
        ("<script>x<b>y</b></script>full", "full"),
        ("<style>p{}<p>mailbox</p>", "mailbox"),
        ("<style><style>p{}</style>full", "full"),
        ("<p>a < b > c</p>", "a < b > c"),
    ],
)
def test_markup_is_left_out_and_what_never_ends_hides_nothing(markup: str, said: str) -> None:
    assert said in words_of([parse(f"Content-Type: text/html\r\n\r\n{markup}".encode())])

"""Personal links: whatever is made opens to the same, and nothing else opens."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contracts.base import Identity, Slug
from deploy.links import NoLinkKeys, keep_link_keys, names_of, new_link_keys, rotated
from services.chassis import links as links_module
from services.chassis.links import LARGEST_FILE, LONGEST, Link, LinkKeys, NoLink, UnusableKeys
from services.chassis.settings import LinkSettings, read

KEYS = LinkKeys({"new": b"n" * 32, "old": b"o" * 32})
OLD = LinkKeys({"old": b"o" * 32})
ISSUED = datetime(2023, 3, 2, 9, 14, tzinfo=UTC)
LINK = Link("confirm", "person-1", "gezinsaanpak-2023", ISSUED, ISSUED + timedelta(days=2))
TEXT = KEYS.made(LINK)
LETTERS = string.ascii_letters + string.digits + "-_"

moments = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
links = st.builds(
    Link,
    purpose=st.just("confirm"),
    person=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True).filter(
        TypeAdapter(Identity).validate_python
    ),
    programme=st.from_regex(r"[a-z0-9]{1,32}(-[a-z0-9]{1,31})?", fullmatch=True).filter(
        TypeAdapter(Slug).validate_python
    ),
    issued=moments,
    expires=moments,
)


@given(links)
def test_whatever_is_made_of_ids_of_the_contracts_opens_to_the_same(link: Link) -> None:
    text = KEYS.made(link)
    assert len(text) <= LONGEST
    assert set(text) <= {*LETTERS, "."}
    assert KEYS.opened(text) == link


@given(st.data())
def test_a_link_with_anything_changed_in_it_does_not_open(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT) - 1))
    with_another = TEXT[:at] + data.draw(st.sampled_from(LETTERS + ".=é\n")) + TEXT[at + 1 :]
    one_more = TEXT[:at] + data.draw(st.sampled_from(LETTERS + ".=|\n ")) + TEXT[at:]
    for changed in (with_another, one_more, TEXT[:at], TEXT[at + 1 :]):
        if changed != TEXT:
            with pytest.raises(NoLink):
                KEYS.opened(changed)


def test_of_the_texts_that_decode_to_one_seal_a_single_one_opens() -> None:
    """The last character of 43 has two bits that decoders ignore."""
    before, last = TEXT[:-1], LETTERS_IN_ORDER.index(TEXT[-1])
    assert last % 4 == 0
    for bits in (1, 2, 3):
        with pytest.raises(NoLink):
            KEYS.opened(before + LETTERS_IN_ORDER[last + bits])


LETTERS_IN_ORDER = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", TEXT + "=", TEXT + "\n", " " + TEXT, TEXT * 2, "x" * 10_000, "new." + "A" * 380, TEXT + "\ud800",
     TEXT.replace("new.", "old."), TEXT.replace("new.", "newer."), TEXT.replace("new.", "NEW."),
     "new.." + TEXT.rpartition(".")[2], TEXT.rpartition(".")[0], TEXT.replace(".", "\uff0e")],
)  # fmt: skip
def test_what_nobody_made_does_not_open(text: str) -> None:
    with pytest.raises(NoLink):
        KEYS.opened(text)


@given(st.text())
def test_no_text_makes_anything_but_a_refusal(text: str) -> None:
    with pytest.raises(NoLink):
        KEYS.opened(text)


def test_a_link_of_the_former_key_is_believed_until_that_is_gone() -> None:
    former = OLD.made(LINK)
    assert KEYS.opened(former) == LINK
    for others in (LinkKeys({"new": b"n" * 32}), LinkKeys({"old": b"x" * 32})):
        with pytest.raises(NoLink):
            others.opened(former)
    with pytest.raises(NoLink):
        OLD.opened(TEXT)


said = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(st.sampled_from(["c", "", "x"]), st.integers().map(str), st.text(max_size=9)), max_size=7).map(
        lambda parts: "|".join(parts).encode(errors="replace")
    ),
)


@given(said)
def test_a_good_seal_on_what_no_release_of_ours_says_is_refused_and_no_fault(payload: bytes) -> None:
    """Only who has the key can do that: a newer release, or one that is broken."""
    sealed = sealed_payload(payload)
    try:
        opened = KEYS.opened(sealed)
    except NoLink:
        return
    assert opened.purpose == "confirm"
    assert len(payload.split(b"|")) == 5


@pytest.mark.parametrize(
    "payload",
    [b"", b"c", b"x|p|q|1|2", b"c|p|q|1", b"c|p|q|1|2|3", b"c|p|q|one|2", b"c|p|q|1|99999999999999999999999",
     b"c|p|q|1|-99999999999999", b"c|p|q|1|" + b"9" * 180, b"\xff\xfe|p|q|1|2", b"c|p|q||", b"c|p|q|nan|inf"],
)  # fmt: skip
def test_a_good_seal_on_nonsense_is_refused(payload: bytes) -> None:
    with pytest.raises(NoLink):
        KEYS.opened(sealed_payload(payload))


def test_a_payload_of_a_length_that_no_octets_have_is_refused() -> None:
    with pytest.raises(NoLink):
        KEYS.opened(sealed_text("A"))


def sealed_payload(payload: bytes) -> str:
    return sealed_text(links_module._encoded(payload) or "A")


def sealed_text(payload: str) -> str:
    return f"new.{payload}.{links_module._seal(KEYS.keys['new'], 'new', payload)}"


@pytest.mark.parametrize(("person", "programme"), [("a|b", "c"), ("a", "b|c"), ("p" * 250, "c")])
def test_what_could_not_be_opened_is_not_made(person: str, programme: str) -> None:
    with pytest.raises(ValueError, match="no link can be made"):
        KEYS.made(LINK._replace(person=person, programme=programme))


def test_a_digest_for_one_use_is_of_no_worth_for_another() -> None:
    body = TEXT.rpartition(".")[0]
    seal = bytes.fromhex(KEYS.digest("link", body))
    with pytest.raises(NoLink):
        KEYS.opened(f"{body}.{links_module._encoded(seal)}")
    assert KEYS.digest("source", "x") == KEYS.digest("source", "x")
    assert len({KEYS.digest("source", "x"), KEYS.digest("source", "y"), KEYS.digest("other", "x"),
                OLD.digest("source", "x")}) == 4  # fmt: skip


def test_fingerprints_tell_keys_apart_and_hold_nothing_of_them() -> None:
    marks = KEYS.description["fingerprints"]
    assert (KEYS.description["newest"], list(marks)) == ("new", ["new", "old"])
    assert OLD.description == {"newest": "old", "fingerprints": {"old": marks["old"]}}
    assert LinkKeys({"old": b"x" * 32}).description != OLD.description
    for name, mark in marks.items():
        assert len(bytes.fromhex(mark)) == 4
        assert bytes.fromhex(mark) not in KEYS.keys[name]


# Files ----------------------------------------------------------------------------------------------------------------

SECRET = "A" * 42 + "E"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "links.keys"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (f"k1 {SECRET}\n", ["k1"]),
        (f"k1 {SECRET}", ["k1"]),
        (f"# ours\r\n\r\n  k2 {SECRET}=\r\n#\tformer\r\nk1 {SECRET}AAAA\r\n", ["k2", "k1"]),
        (f"\ufeffk1 {SECRET}\n# één\n", ["k1"]),
    ],
)
def test_a_file_of_keys_is_read_as_people_write_it(tmp_path: Path, text: str, names: list[str]) -> None:
    keys = LinkKeys.read(written(tmp_path, text))
    assert list(keys.keys) == names
    assert min(map(len, keys.keys.values())) >= 32


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no key"),
        ("# none yet\n\n", "holds no key"),
        (f"{SECRET}\n", "line 1"),
        (f"k1  {SECRET}\n", "line 1"),
        (f"K1 {SECRET}\n", "line 1"),
        (f"k1 {SECRET[:-1]}\n", "line 1"),
        (f"k1 {SECRET[:-1]}+\n", "line 1"),
        (f"k1 {SECRET}AA # mine\n", "line 1"),
        (f"k1 {SECRET}\nk2 {SECRET}AA{SECRET[-1]}é\n", "line 2"),
        (f"k1 {'A' * 45}\n", "line 1"),
        (f"# a\nk1 {SECRET}\nk1 {SECRET}\n", "line 3 .* has the name of a key before it"),
        (b"k1 \xff\xfe" + SECRET.encode(), "is no text"),
        ("#" * (LARGEST_FILE + 1), "too large"),
    ],
)
def test_a_file_that_will_not_do_is_refused_with_what_to_do_and_nothing_of_it_is_repeated(
    tmp_path: Path, text: str | bytes, complaint: str
) -> None:
    with pytest.raises(UnusableKeys, match=complaint) as refused:
        LinkKeys.read(written(tmp_path, text))
    assert SECRET[:-1] not in str(refused.value)
    assert str(tmp_path / "links.keys") in str(refused.value)


@pytest.mark.parametrize("what", ["missing", "directory", "endless"])
def test_what_is_no_file_is_refused(tmp_path: Path, what: str) -> None:
    path = {"missing": tmp_path / "none", "directory": tmp_path, "endless": Path("/dev/zero")}[what]
    with pytest.raises(UnusableKeys, match=r"cannot be read|too large"):
        LinkKeys.read(path)


def test_no_key_is_shown_by_what_holds_them(tmp_path: Path) -> None:
    keys = LinkKeys.read(written(tmp_path, f"k1 {SECRET}\n"))
    secret = keys.keys["k1"]
    for shown in (repr(keys), str(keys), f"{keys}", repr([keys])):
        assert "k1" not in shown
        assert repr(secret) not in shown


# What makes them ------------------------------------------------------------------------------------------------------


def test_what_the_deployment_makes_is_what_services_read_and_is_kept(tmp_path: Path) -> None:
    path = keep_link_keys(tmp_path / "links.keys")
    assert path.stat().st_mode & 0o777 == 0o600
    first = LinkKeys.read(path)
    assert [len(key) for key in first.keys.values()] == [32]
    assert LinkKeys.read(keep_link_keys(path)).keys == first.keys
    assert LinkKeys.read(keep_link_keys(tmp_path / "another.keys")).keys != first.keys


def test_rotating_keeps_the_former_key_and_none_before_it(tmp_path: Path) -> None:
    path = tmp_path / "links.keys"
    texts = [new_link_keys()]
    for _ in range(2):
        texts.append(rotated(texts[-1]))
    read_back = [LinkKeys.read(written(path.parent, text)) for text in texts]
    assert [len(keys.keys) for keys in read_back] == [1, 2, 2]
    former = read_back[0].made(LINK)
    assert read_back[1].opened(former) == LINK
    with pytest.raises(NoLink):
        read_back[2].opened(former)
    for text, keys in zip(texts, read_back, strict=True):
        assert names_of(text) == tuple(keys.keys)


@pytest.mark.parametrize("text", ["", "# nothing\n", "half a line"])
def test_what_holds_no_key_is_not_rotated(text: str) -> None:
    with pytest.raises(NoLinkKeys, match="configure again"):
        rotated(text)


# The setting ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("own_journal")
def test_a_bad_file_ends_the_service_with_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, f"k1 {SECRET}\n")
    for name, value in {"NATS_URL": "nats://x", "DATA": "/x", "HTTP_PORT": "1", "NATS_NAME": "x",
                        "LINK_KEYS": str(path)}.items():  # fmt: skip
        monkeypatch.setenv(f"DEELNAME_{name}", value)
    settings = read(LinkSettings, "test")
    assert list(settings.links.keys) == ["k1"]
    assert SECRET not in repr(settings)
    written(tmp_path, f"k1 {SECRET[:-1]}\n")
    with pytest.raises(SystemExit) as ended:
        read(LinkSettings, "test")
    assert ended.value.code == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert f"DEELNAME_LINK_KEYS: line 1 of {path} is no key" in line
    assert "deelname broker configure" in line
    assert SECRET[:-1] not in line

"""The mails that were caught, as files of a maildir."""

from __future__ import annotations

import mailbox
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

_EVERYTHING = policy.default.clone(refold_source="none")


@dataclass(frozen=True, slots=True)
class Caught:
    """One mail: its key in the box, its bytes, and the message that they are."""

    key: str
    raw: bytes
    message: EmailMessage

    def header(self, name: str) -> str:
        """A header in words, empty when it is absent or nobody can read it."""
        try:
            return str(self.message.get(name, ""))
        except (
            ValueError,
            LookupError,
            IndexError,
            AttributeError,
        ):  # whatever a parser of strange headers stumbles over
            return ""

    def part(self, kind: str) -> str:
        """The first part of this content type as text, empty when there is none."""
        for part in self.message.walk():
            if part.get_content_type() == kind and not part.is_multipart():
                payload = part.get_payload(decode=True)
                if isinstance(payload, bytes):
                    return payload.decode(_charset(part), errors="replace")
        return ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The content types of its parts, in their order."""
        return tuple(part.get_content_type() for part in self.message.walk() if not part.is_multipart())


def _charset(part: EmailMessage) -> str:
    named = part.get_content_charset("utf-8")
    try:
        "".encode(named)
    except LookupError:
        return "utf-8"
    return named


class Box:
    """
    A maildir that holds the newest mails. Safe for threads: SMTP fills it from one and pages read it from others.

    Args:
        path: created when absent.
        keep: so many mails; the oldest go.
    """

    def __init__(self, path: Path, keep: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._maildir = mailbox.Maildir(path, factory=None, create=True)
        self._keep = keep
        self._lock = threading.Lock()
        self._keys = sorted(self._maildir.keys(), key=self._arrived)

    def put(self, sender: str | None, recipients: list[str], content: bytes) -> str:
        """Keep a mail with its envelope, as a mailbox would have it. Returns its key."""
        envelope = f"Return-Path: <{sender or ''}>\r\n" + "".join(f"Delivered-To: {one}\r\n" for one in recipients)
        with self._lock:
            key = self._maildir.add(envelope.encode("utf-8", "surrogateescape") + content)
            self._keys.append(key)
            while len(self._keys) > self._keep:
                self._maildir.discard(self._keys.pop(0))
        return key

    def newest_first(self) -> list[Caught]:
        """All mails."""
        with self._lock:
            return [self._read(key) for key in reversed(self._keys)]

    def get(self, key: str) -> Caught:
        """
        One mail.

        Raises:
            KeyError: there is none of this key.
        """
        with self._lock:
            if key not in self._keys:
                raise KeyError(key)
            return self._read(key)

    def _read(self, key: str) -> Caught:
        raw = self._maildir.get_bytes(key)
        return Caught(key, raw, message_from_bytes(raw, policy=_EVERYTHING))

    def _arrived(self, key: str) -> tuple[float, str]:
        return self._maildir.get_message(key).get_date(), key

"""Ways out for mails: a maildir on this machine or a relay spoken to by SMTP."""

from ipaddress import ip_address
from pathlib import Path
from typing import cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from services.notifications.transport.maildir import Maildir
from services.notifications.transport.outcomes import (
    GIVE_UP_AFTER,
    WAITS,
    Failed,
    Fault,
    Outcome,
    Reply,
    Retry,
    Sent,
    Transport,
    Uncertain,
    next_try,
    wait,
)
from services.notifications.transport.smtp import Encryption, Relay, Smtp

__all__ = [
    "GIVE_UP_AFTER",
    "WAITS",
    "Failed",
    "Fault",
    "Maildir",
    "Outcome",
    "Relay",
    "Reply",
    "Retry",
    "Sent",
    "Smtp",
    "Transport",
    "Uncertain",
    "next_try",
    "parse_transport",
    "wait",
]

_FORMS = "maildir:PATH, smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://[USER:PASSWORD@]HOST[:PORT]"
_OPTIONS = ("starttls", "connections", "ca")
_MOST_CONNECTIONS = 50


def parse_transport(text: str) -> Transport:
    """The transport that a setting names, not yet open.

    * `maildir:PATH`: every mail a file in PATH/new.
    * `smtp://HOST`: port 25, or 587 with a user. `?starttls=required|offered|never`; with a user it is required unless
      the host is this machine, so that no password goes over a network in the clear.
    * `smtps://HOST`: TLS from the start, port 465.
    * Both take `?connections=N` (default 4) and `?ca=FILE` (trusted authorities besides the system's).

    User and password are percent-encoded. Raises ValueError saying what to write instead, never repeating a password.
    """
    scheme, separator, rest = text.partition(":")
    if separator and scheme == "maildir":
        if not rest or rest.startswith("//"):
            raise ValueError("maildir: is followed by the path of a directory, such as maildir:/var/lib/deelname/mail")
        return Maildir(Path(rest))
    if not separator or scheme not in ("smtp", "smtps"):
        raise ValueError(f"a transport is one of {_FORMS}")
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(
            "the port of a transport is a number from 1 to 65535; percent-encode / ? # @ in a password"
        ) from None
    if not parts.hostname or parts.path not in ("", "/") or parts.fragment:
        raise ValueError(f"a transport is one of {_FORMS}; percent-encode / ? # @ in a password")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("a transport has a user and a password, USER:PASSWORD@HOST, or neither")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise ValueError(f"a transport has no option {', '.join(unknown)}; there are {', '.join(_OPTIONS)}")
    encryption = _encryption(parts, options.get("starttls"))
    default_port = 465 if encryption == "tls" else 25 if parts.username is None else 587
    return Smtp(
        Relay(
            host=parts.hostname,
            port=port or default_port,
            encryption=encryption,
            user=unquote(parts.username) if parts.username is not None else None,
            password=unquote(parts.password) if parts.password is not None else None,
            connections=_connections(options.get("connections", "4")),
            certificates=options.get("ca"),
        )
    )


def _encryption(parts: SplitResult, chosen: str | None) -> Encryption:
    if parts.scheme == "smtps":
        if chosen is not None:
            raise ValueError("smtps:// is encrypted from the start: leave starttls out, or write smtp://")
        return "tls"
    if chosen not in (None, "required", "offered", "never"):
        raise ValueError("starttls is one of required, offered, never")
    secret = parts.username is not None and not _is_this_machine(parts.hostname or "")
    if secret and chosen in ("offered", "never"):
        raise ValueError(f"with starttls={chosen} the password could go over the network in the clear; leave it out")
    return cast(Encryption, chosen or ("required" if secret else "offered"))


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _connections(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_CONNECTIONS:
        raise ValueError(f"connections is a number from 1 to {_MOST_CONNECTIONS}")
    return int(text)

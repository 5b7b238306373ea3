"""The HTTP side: a list of mails, each mail, and both as JSON for programs. Nothing can be changed from here."""

from __future__ import annotations

import json
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deploy.catcher.box import Box, Caught

# A mail is a stranger's document: its frame runs no script, loads nothing, and is of no origin.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; base-uri 'none'"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1b1b }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top }
tr + tr { border-top: 1px solid #ddd } pre { white-space: pre-wrap; background: #f6f6f6; padding: 1rem }
iframe { width: 100%; height: 40rem; border: 1px solid #ccc }
"""
_HEADERS = ("From", "To", "Subject", "Date", "Return-Path", "Delivered-To", "Message-ID")


def viewer(box: Box, host: str, port: int) -> ThreadingHTTPServer:
    """An HTTP server with the pages of this box, listening and not yet serving."""

    class Handler(_Handler):
        mails = box

    return ThreadingHTTPServer((host, port), Handler)


class _Handler(BaseHTTPRequestHandler):
    mails: Box
    server_version = "Deelname"
    sys_version = ""

    def do_GET(self) -> None:
        """``/``, ``/mails``, ``/mails/KEY``, ``/mails/KEY/html`` and ``/mails/KEY/raw``."""
        path = self.path.partition("?")[0]
        try:
            match path.strip("/").split("/"):
                case [""]:
                    self._page("Mails", _list(self.mails.newest_first()))
                case ["mails"]:
                    listed = [_plain(mail) for mail in self.mails.newest_first()]
                    self._answer("application/json", json.dumps({"mails": listed}, ensure_ascii=False))
                case ["mails", key]:
                    mail = self.mails.get(key)
                    self._page(mail.header("Subject") or "Mail", _mail(mail))
                case ["mails", key, "html"]:
                    self._answer("text/html; charset=utf-8", self.mails.get(key).part("text/html"))
                case ["mails", key, "raw"]:
                    self._answer("text/plain; charset=utf-8", self.mails.get(key).raw)
                case _:
                    raise KeyError(path)
        except KeyError:
            self._answer("text/plain; charset=utf-8", "There is nothing here.\n", HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: whoever looks at the list need not be in a log."""

    def _page(self, title: str, body: str) -> None:
        head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        page = f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>'
        self._answer("text/html; charset=utf-8", page)

    def _answer(self, kind: str, body: str | bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        content = body.encode("utf-8", "replace") if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)


def _plain(mail: Caught) -> dict[str, Any]:
    return {
        "key": mail.key,
        "from": mail.header("From"),
        "to": mail.header("To"),
        "subject": mail.header("Subject"),
        "date": mail.header("Date"),
        "message_id": mail.header("Message-ID"),
        "parts": list(mail.kinds),
        "text": mail.part("text/plain"),
    }


def _list(mails: list[Caught]) -> str:
    if not mails:
        return "<p>No mail yet.</p>"
    rows = "".join(
        f"<tr><td>{escape(mail.header('Date'))}</td><td>{escape(mail.header('To'))}</td>"
        f'<td><a href="/mails/{escape(mail.key)}">{escape(mail.header("Subject")) or "(no subject)"}</a></td></tr>'
        for mail in mails
    )
    return f"<table><tr><th>Date</th><th>To</th><th>Subject</th></tr>{rows}</table>"


def _mail(mail: Caught) -> str:
    headers = "".join(
        f"<tr><th>{name}</th><td>{escape(mail.header(name))}</td></tr>" for name in _HEADERS if mail.header(name)
    )
    key = escape(mail.key)
    html = (
        f'<h2>HTML</h2><iframe sandbox src="/mails/{key}/html" title="HTML"></iframe>' if mail.part("text/html") else ""
    )
    calendar = mail.part("text/calendar")
    return (
        f'<p><a href="/">All mails</a> · <a href="/mails/{key}/raw">source</a></p><table>{headers}</table>'
        f"<h2>Text</h2><pre>{escape(mail.part('text/plain'))}</pre>{html}"
        + (f"<h2>Calendar</h2><pre>{escape(calendar)}</pre>" if calendar else "")
    )

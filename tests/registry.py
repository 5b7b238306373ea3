"""
As much of a registry as an engine needs to push an image and to pull it again by its digest (OCI distribution spec).

On loopback, which engines trust without a certificate. It keeps everything in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    blobs: dict[str, bytes]
    manifests: dict[str, tuple[str, bytes]]
    uploads: dict[str, bytes]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        kind, name = self._asked()
        if kind == "manifests" and name in self.manifests:
            media_type, body = self.manifests[name]
            self._answer(200, body, {"Content-Type": media_type, "Docker-Content-Digest": _digest(body)})
        elif kind == "blobs" and name in self.blobs:
            self._answer(200, self.blobs[name], {"Docker-Content-Digest": name})
        else:
            self._answer(200 if self.path == "/v2/" else 404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        upload = uuid.uuid4().hex
        self.uploads[upload] = self._body()
        self._answer(202, headers={"Location": f"{urlsplit(self.path).path}{upload}", "Range": "0-0"})

    def do_PATCH(self) -> None:
        _, upload = self._asked()
        self.uploads[upload] += self._body()
        last = max(0, len(self.uploads[upload]) - 1)
        self._answer(202, headers={"Location": self.path, "Range": f"0-{last}"})

    def do_PUT(self) -> None:
        kind, name = self._asked()
        body = self._body()
        if kind == "manifests":
            stored = (self.headers.get("Content-Type", ""), body)
            self.manifests[name] = self.manifests[_digest(body)] = stored
            self._answer(201, headers={"Docker-Content-Digest": _digest(body)})
            return
        (digest,) = parse_qs(urlsplit(self.path).query)["digest"]
        self.blobs[digest] = self.uploads.pop(name) + body
        self._answer(201, headers={"Docker-Content-Digest": digest})

    def _asked(self) -> tuple[str, str]:
        """``/v2/NAME/manifests/X`` or ``/v2/NAME/blobs/X``, or an upload of blobs."""
        path = urlsplit(self.path).path.rstrip("/").split("/")
        return ("manifests" if "manifests" in path else "blobs"), path[-1]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@contextlib.contextmanager
def registry() -> Iterator[str]:
    """An empty registry; gives its HOST:PORT."""
    handler = type("_Own", (_Handler,), {"blobs": {}, "manifests": {}, "uploads": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()

"""What a container's health check says of its service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy.embedded import free_port
from services.chassis import probe


class Service(BaseHTTPRequestHandler):
    """Answers as the server's ``status`` says."""

    def do_GET(self) -> None:
        body = self.path.encode()
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_a_service_is_well_when_it_says_that_it_is_ready(
    service: HTTPServer,
    status: int,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    service.status = status  # type: ignore[attr-defined]
    monkeypatch.setenv("DEELNAME_HTTP_PORT", str(service.server_port))
    assert probe.main() == code
    assert capsys.readouterr().out == "/health/ready\n"


def test_a_service_that_does_not_listen_is_not_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEELNAME_HTTP_PORT", str(free_port()))
    assert probe.main() == 1
    assert "refused" in capsys.readouterr().err


def test_a_container_without_a_port_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DEELNAME_HTTP_PORT", raising=False)
    assert probe.main() == 1
    assert "DEELNAME_HTTP_PORT" in capsys.readouterr().err

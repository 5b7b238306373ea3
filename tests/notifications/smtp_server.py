"""A real SMTP server in a process of its own, which fails where the addresses ask it to.

The local part of the recipient (of the sender, for MAIL) says what goes wrong: `rcpt.550.5.1.1@…` is refused with that
reply at RCPT, `data.452@…` at DATA, `end.554@…` after the message; `reset` in place of a code cuts the connection
there, `slow` never answers. It offers PIPELINING if `pipelining` is asked for, and waits for a message even for nobody
if `lenient` is. Every mail taken is appended to a file as a line of JSON. The first line of output is the port.
"""

# ruff: noqa: N802  (aiosmtpd finds the steps of a session by these names)

import asyncio
import base64
import json
import ssl
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

ASKED = json.loads(sys.argv[1])


def wanted(address: str, step: str) -> str | None:
    words = address.partition("@")[0].split(".")
    return ".".join(words[1:]) if words[0] == step and len(words) > 1 else None


class Server(SMTP):
    """Cuts, delays and refuses at DATA, which handlers of aiosmtpd cannot."""

    async def smtp_DATA(self, arg: str) -> None:
        assert self.envelope is not None
        step = wanted(self.envelope.rcpt_tos[0], "data") if self.envelope.rcpt_tos else None
        if step is not None:
            reply = await misbehave(self, step)
            await self.push(reply)
            return
        if ASKED.get("lenient") and not self.envelope.rcpt_tos:
            await self.push("354 for nobody, then")
            keep({"for nobody": (await self._reader.readline()).decode()})
            await self.push("554 5.5.1 nobody to send it to")
            return
        await super().smtp_DATA(arg)


async def misbehave(server: SMTP, fault: str) -> str:
    if fault == "reset":
        assert isinstance(server.transport, asyncio.WriteTransport)
        server.transport.abort()
        return "421 gone"
    if fault == "slow":
        await asyncio.Event().wait()
    code, _, status = fault.partition(".")
    return f"{code} {status} as you asked".replace("  ", " ")


class Handler:
    """Keeps what arrives, with what is needed to tell connections and encryption apart."""

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if ASKED.get("pipelining") else responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        fault = wanted(address, "mail")
        if fault is not None:
            return await misbehave(server, fault)
        if address.startswith("once.421") and session not in seen:
            seen.append(session)
        elif address.startswith("once.421"):
            return "421 4.3.2 enough on this connection"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        fault = wanted(address, "rcpt")
        if fault is not None:
            return await misbehave(server, fault)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        keep(
            {
                "peer": session.peer,
                "tls": session.ssl is not None or ASKED.get("tls") == "always",
                "login": session.authenticated,
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "raw": base64.b64encode(content).decode(),
            }
        )
        fault = wanted(envelope.rcpt_tos[0], "end")
        return await misbehave(server, fault) if fault is not None else "250 2.0.0 taken as 42"


seen: list[Session] = []


def keep(mail: dict[str, Any]) -> None:
    with Path(ASKED["mails"]).open("a", encoding="ascii") as mails:
        mails.write(json.dumps(mail) + "\n")


def authenticator(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    return AuthResult(success=data.password == ASKED["password"].encode(), handled=False, auth_data=data)


def make(context: ssl.SSLContext | None) -> SMTP:
    password = ASKED.get("password")
    return Server(
        Handler(),
        hostname="mail.test",
        enable_SMTPUTF8=bool(ASKED.get("smtputf8")),
        tls_context=context if ASKED.get("tls") == "starttls" else None,
        authenticator=authenticator if password else None,
        auth_required=bool(password),
        auth_require_tls=ASKED.get("tls") == "starttls",
    )


class Greeting(asyncio.Protocol):
    """A server that says one line and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(f"{ASKED['greeting']}\r\n".encode())
        transport.close()


async def main() -> None:
    context = None
    if "certificate" in ASKED:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(ASKED["certificate"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        Greeting if "greeting" in ASKED else lambda: make(context),
        "127.0.0.1",
        0,
        ssl=context if ASKED.get("tls") == "always" else None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())

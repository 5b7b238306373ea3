"""What mail servers and calendars send back, in the shapes that they really have; every name in them is made up."""

from __future__ import annotations

from collections.abc import Sequence

DOMAIN = "bibliotheek.example"


def _mail(headers: Sequence[str], body: str) -> bytes:
    return ("\n".join(headers) + "\n\n" + body).replace("\n", "\r\n").encode()


def postfix(
    to: str,
    mailed: str,
    *,
    status: str = "5.1.1",
    action: str = "failed",
    message_id: str = "<x@deelname.example>",
    diagnostic: str = "550 5.1.1 <noor>: Recipient address rejected: User unknown",
) -> bytes:
    """As Postfix's bounce(8) writes: three parts, the headers alone returned."""
    return _mail(
        [
            "Return-Path: <>",
            "Date: Thu,  2 Mar 2023 11:15:02 +0100 (CET)",
            f"From: MAILER-DAEMON@{DOMAIN} (Mail Delivery System)",
            "Subject: Undelivered Mail Returned to Sender",
            f"To: {to}",
            "Auto-Submitted: auto-replied",
            "MIME-Version: 1.0",
            "Content-Type: multipart/report; report-type=delivery-status;",
            f'\tboundary="6C1A2401A5.1677752102/mx.{DOMAIN}"',
            "Content-Transfer-Encoding: 8bit",
            f"Message-Id: <20230302101502.A1B2C401B7@mx.{DOMAIN}>",
        ],
        f"""This is a MIME-encapsulated message.

--6C1A2401A5.1677752102/mx.{DOMAIN}
Content-Description: Notification
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

This is the mail system at host mx.{DOMAIN}.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<{mailed}>: {diagnostic}

--6C1A2401A5.1677752102/mx.{DOMAIN}
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.{DOMAIN}
X-Postfix-Queue-ID: 6C1A2401A5
X-Postfix-Sender: rfc822; {to}
Arrival-Date: Thu,  2 Mar 2023 11:15:01 +0100 (CET)

Final-Recipient: rfc822; {mailed}
Original-Recipient: rfc822;{mailed}
Action: {action}
Status: {status}
Remote-MTA: dns; mail.{DOMAIN}
Diagnostic-Code: smtp; {diagnostic}

--6C1A2401A5.1677752102/mx.{DOMAIN}
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers
Content-Transfer-Encoding: 8bit

Return-Path: <{to}>
From: Deelname <deelname@deelname.example>
To: Noor de Wit <{mailed}>
Subject: Je bent ingeschreven
Message-ID: {message_id}

--6C1A2401A5.1677752102/mx.{DOMAIN}--
""",
    )


_NOT_FOUND = "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
_EXCHANGE_SAYS = {"5.2.2": "STOREDRV.Deliver; mailbox full"}


def exchange(to: str, mailed: str, *, status: str = "5.1.10", message_id: str = "<x@deelname.example>") -> bytes:
    """As Exchange Online writes: words for people in HTML, the whole mail returned, codes of its own."""
    return _mail(
        [
            "From: Microsoft Outlook",
            "\t<MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@bibliotheek.example>",
            f"To: {to}",
            "Date: Thu, 2 Mar 2023 10:15:04 +0000",
            'Content-Type: multipart/report; report-type=delivery-status;boundary="d1f5f0"',
            "X-MS-Exchange-Message-Is-Ndr:",
            "Content-Language: en-US",
            "Message-ID: <ab2d1d2b-3d3e-4f5a@AM0PR01MB.eurprd01.prod.exchangelabs.com>",
            f"In-Reply-To: {message_id}",
            f"References: {message_id}",
            "Subject: Undeliverable: Je bent ingeschreven",
            "Auto-Submitted: auto-replied",
            "MIME-Version: 1.0",
        ],
        f"""--d1f5f0
Content-Type: multipart/alternative; differences=Content-Type; boundary="e2"

--e2
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

Your message to {mailed.replace("@", "=40")} couldn't be delivered.

--e2
Content-Type: text/html; charset="us-ascii"

<html><body><p>{mailed} wasn't found at {DOMAIN}.</p></body></html>

--e2--

--d1f5f0
Content-Type: message/delivery-status

Reporting-MTA: dns;AM0PR01MB.eurprd01.prod.exchangelabs.com
Received-From-MTA: dns;relay.deelname.example
Arrival-Date: Thu, 2 Mar 2023 10:15:03 +0000

Final-Recipient: rfc822;{mailed}
Action: failed
Status: {status}
Diagnostic-Code: smtp;550 {status} {_EXCHANGE_SAYS.get(status, _NOT_FOUND)}
X-Display-Name: Noor de Wit

--d1f5f0
Content-Type: message/rfc822

Received: from relay.deelname.example (192.0.2.1) by AM0EUR02FT.mail.protection.outlook.com
From: Deelname <deelname@deelname.example>
To: Noor de Wit <{mailed}>
Subject: Je bent ingeschreven
Message-ID: {message_id}
Content-Type: text/plain

Beste Noor,

--d1f5f0--
""",
    )


def gmail(to: str, mailed: str, *, status: str = "5.2.2", message_id: str = "<x@deelname.example>") -> bytes:
    """As Gmail writes: an answering machine's header, parts within parts, the diagnosis over several lines."""
    return _mail(
        [
            "Return-Path: <>",
            "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
            f"To: {to}",
            "Auto-Submitted: auto-replied",
            "Subject: Delivery Status Notification (Failure)",
            f"References: {message_id}",
            f"In-Reply-To: {message_id}",
            f"X-Failed-Recipients: {mailed}",
            "Message-ID: <64007a51.170a0220.b5d0e.1f2b.GMR@mx.google.com>",
            "Date: Thu, 02 Mar 2023 02:15:05 -0800 (PST)",
            'Content-Type: multipart/report; boundary="0000000000"; report-type=delivery-status',
            "MIME-Version: 1.0",
        ],
        f"""--0000000000
Content-Type: multipart/related; boundary="0000000001"

--0000000001
Content-Type: multipart/alternative; boundary="0000000002"

--0000000002
Content-Type: text/plain; charset="UTF-8"
Content-Transfer-Encoding: base64

KiogUG9zdHZhayB2b2wgKioK

--0000000002--

--0000000001--

--0000000000
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
Arrival-Date: Thu, 02 Mar 2023 02:15:04 -0800 (PST)
X-Original-Message-ID: {message_id}

Final-Recipient: rfc822; {mailed}
Action: failed
Status: {status}
Remote-MTA: dns; gmail-smtp-in.l.google.com. (192.0.2.27, the server for the
 domain {DOMAIN}.)
Diagnostic-Code: smtp; 552-{status} The recipient's inbox is out of storage space. Please direct the
 recipient to 552 {status} https://support.example/mail/?p=OverQuotaPerm - gsmtp
Last-Attempt-Date: Thu, 02 Mar 2023 02:15:05 -0800 (PST)

--0000000000
Content-Type: message/rfc822

From: Deelname <deelname@deelname.example>
To: {mailed}
Message-ID: {message_id}

Beste Noor,

--0000000000--
""",
    )


def qmail(to: str, mailed: str) -> bytes:
    """As qmail-send writes (QSBMF): no MIME at all."""
    return _mail(
        [
            "Return-Path: <>",
            "Date: 2 Mar 2023 10:15:02 -0000",
            f"From: MAILER-DAEMON@{DOMAIN}",
            f"To: {to}",
            "Subject: failure notice",
        ],
        f"""Hi. This is the qmail-send program at {DOMAIN}.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{mailed}>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

From: Deelname <deelname@deelname.example>
""",
    )


def out_of_office(to: str, mailed: str) -> bytes:
    """As Exchange answers for who is away."""
    return _mail(
        [
            f"From: Noor de Wit <{mailed}>",
            f"To: {to}",
            "Subject: Automatisch antwoord: Je bent ingeschreven",
            "X-Auto-Response-Suppress: All",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "MIME-Version: 1.0",
        ],
        "Ik ben er tot 20 maart niet. Mail does not exist until then: 550 5.1.1.\n",
    )


def person(to: str, sender: str, words: str = "Mag mijn collega in mijn plaats komen?") -> bytes:
    """A person's own words."""
    return _mail(
        [f"From: {sender}", f"To: {to}", "Subject: Vraag", "Content-Type: text/plain; charset=utf-8"],
        words + "\n",
    )


def reply(
    uid: str,
    attendee: str,
    partstat: str = "ACCEPTED",
    *,
    sender: str | None = None,
    sequence: int | None = 0,
    stamp: str = "20230302T120000Z",
    method: str = "REPLY",
) -> bytes:
    """As Thunderbird answers: the calendar twice, no In-Reply-To, no Auto-Submitted."""
    lines = [
        "BEGIN:VCALENDAR",
        "PRODID:-//Mozilla.org/NONSGML Mozilla Calendar V1.1//EN",
        "VERSION:2.0",
        f"METHOD:{method}",
        "BEGIN:VEVENT",
        "CREATED:20230302T091500Z",
        f"LAST-MODIFIED:{stamp}",
        f"DTSTAMP:{stamp}",
        f"UID:{uid}",
        "SUMMARY:Kick-off",
        "ORGANIZER;CN=Deelname:mailto:deelname@deelname.example",
        f'ATTENDEE;CN="Noor de Wit";PARTSTAT={partstat};ROLE=REQ-PARTICIPANT:mailto:{attendee}',
        "DTSTART;TZID=Europe/Amsterdam:20230620T100000",
        "DTEND;TZID=Europe/Amsterdam:20230620T120000",
        *([] if sequence is None else [f"SEQUENCE:{sequence}"]),
        "TRANSP:OPAQUE",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    # Long lines are folded (RFC 5545 §3.1), which is how UIDs of ours come back.
    calendar = "\n".join(
        "\n ".join([line[begin : begin + 70] for begin in range(0, len(line), 70)]) if len(line) > 70 else line
        for line in lines
    )
    return _mail(
        [
            f"Message-ID: <6f0a6b7e-1c1f-4b4e-9d5e@{DOMAIN}>",
            "Date: Thu, 2 Mar 2023 13:00:00 +0100",
            "User-Agent: Mozilla Thunderbird",
            f"From: Noor de Wit <{sender or attendee}>",
            "To: deelname@deelname.example",
            "Subject: Invitation Accepted: Kick-off",
            'Content-Type: multipart/mixed; boundary="b0"',
            "MIME-Version: 1.0",
        ],
        f"""--b0
Content-Type: multipart/alternative; boundary="b1"

--b1
Content-Type: text/plain; charset=UTF-8; format=flowed
Content-Transfer-Encoding: 8bit

Noor de Wit <{attendee}> has accepted your event invitation.

--b1
Content-Type: text/calendar; method={method}; charset=UTF-8
Content-Transfer-Encoding: 8bit

{calendar}

--b1--

--b0
Content-Type: application/ics; name="invite.ics"
Content-Disposition: attachment; filename="invite.ics"
Content-Transfer-Encoding: 8bit

{calendar}

--b0--
""",
    )

"""What notifications counts for its operator, and what it looks up when it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from services.chassis import metrics
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.health import Check
from services.chassis.metrics import Gauge
from services.notifications import store
from services.notifications.inbox import Room
from services.notifications.sender import Sender, UnderWay

_QUEUE = "deelname_mail_queue"
_QUEUE_MEANS = "Mails that are not done: due now, due later, under way, failed, or of unknown fate."


def measure(
    database: Database, sender: Sender, clock: Clock, *, inbox_trouble: Check, under_way: UnderWay, room: Room
) -> metrics.Measure:
    """Looks up the queue, what holds it, the addresses to which nothing is sent, and how the inbox does."""

    async def look() -> Iterable[Gauge]:
        now = clock()
        queue, unread, oldest = await database.run(
            lambda raw: (store.queue(raw, now), store.unread(raw), store.oldest_unread(raw))
        )
        waited = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
        await under_way.look()
        longest = under_way.longest
        reached = await sender.reach.trouble() == ""
        capped = Counter(key.partition(":")[0] for key in sender.capped)
        return (
            *(
                Gauge(_QUEUE, _QUEUE_MEANS, number, ("state", state))
                for state, number in (
                    ("due", queue.due),
                    ("later", queue.later),
                    ("sending", queue.sending),
                    ("failed", queue.failed),
                    ("uncertain", queue.uncertain),
                )
            ),
            Gauge(
                "deelname_mails_by_strangers",
                "Mails that wait, due or not, and that anybody may have caused by requests on the public pages.",
                queue.by_strangers,
            ),
            Gauge(
                "deelname_mail_overdue_seconds",
                "How long ago the oldest mail that waits should have gone, however often it was tried since.",
                queue.overdue,
            ),
            Gauge(
                "deelname_mail_server_unreachable",
                "Whether mails wait because the mail server cannot be reached, or takes none: 1 or 0.",
                int(not reached),
            ),
            Gauge("deelname_transport_fault", "Whether the mail server refuses us: 1 or 0.", int(bool(sender.fault))),
            *(
                Gauge(
                    "deelname_sender_capped",
                    "People or programmes whose mails a cap by the hour holds back.",
                    capped[kind],
                    ("kind", kind),
                )
                for kind in ("person", "programme")
            ),
            Gauge("deelname_suppressed_addresses", "Addresses to which nothing is sent.", queue.suppressed),
            Gauge(
                "deelname_mails_refused_for_our_sake",
                "Mails that were refused within a day because of the sender, the way or the content.",
                queue.against_us,
            ),
            Gauge("deelname_mail_under_way_seconds", "How long the mail is under way that is so for longest.", longest),
            Gauge("deelname_inbox_fault", "Whether mail cannot come in: 1 or 0.", int(bool(await inbox_trouble()))),
            Gauge("deelname_unread_mails", "Mails that came in and are kept for a person.", unread.mails),
            Gauge("deelname_unread_octets", "Octets of the mails that are kept for a person.", unread.octets),
            Gauge("deelname_unread_mails_limit", "How many such mails there is room for.", room.mails),
            Gauge("deelname_unread_octets_limit", "Octets of such mails that there is room for.", room.octets),
            Gauge("deelname_unread_seconds", "How long the oldest of them has waited for a person.", waited),
        )

    return look

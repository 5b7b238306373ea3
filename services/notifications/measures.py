"""What notifications counts for its operator, and what it looks up when it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from services.chassis import metrics
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.metrics import Gauge
from services.notifications import store
from services.notifications.sender import Sender

_QUEUE = "deelname_mail_queue"
_QUEUE_MEANS = "Mails that are not done: due now, due later, under way, failed, or of unknown fate."


def measure(database: Database, sender: Sender, clock: Clock) -> metrics.Measure:
    """Looks up the queue, what holds it, and the addresses to which nothing is sent."""

    async def look() -> Iterable[Gauge]:
        now = clock()
        queue = await database.run(lambda raw: store.queue(raw, now))
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
            Gauge("deelname_mail_overdue_seconds", "How long the oldest due mail has been due.", queue.overdue),
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
        )

    return look

"""``python -m services.reporting``: read the settings, run the service."""

from services.chassis import journal, private, service, tracing
from services.chassis.settings import read
from services.reporting.app import NAME, start
from services.reporting.settings import Settings

if __name__ == "__main__":
    settings = read(Settings, NAME)
    journal.configure(settings.log_level, NAME)
    private.begin(settings.data)
    tracing.configure(NAME)
    service.main(lambda: start(settings))

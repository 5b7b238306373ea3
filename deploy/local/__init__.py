"""The whole system on one machine; ``deelname up``, the demo and the system tests start it."""

from deploy.local.system import THE_SERVICES, DidNotStart, LocalSystem, ServiceCommand, run, serve

__all__ = ["THE_SERVICES", "DidNotStart", "LocalSystem", "ServiceCommand", "run", "serve"]

"""A local stand-in for YCLIENTS: marketplace page, API, webhook and notification sender.

For tests and the demo only; the service never imports it.
"""

from sandbox.yclients.faults import FaultKind
from sandbox.yclients.marketplace import MarketplaceError
from sandbox.yclients.notifications import Shape
from sandbox.yclients.salons import InstallStatus, Salon
from sandbox.yclients.server import SandboxYClients
from sandbox.yclients.webhooks import EntityEvent

__all__ = [
    "EntityEvent",
    "FaultKind",
    "InstallStatus",
    "MarketplaceError",
    "Salon",
    "SandboxYClients",
    "Shape",
]

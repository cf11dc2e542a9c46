"""A local WhatsApp server with phones, for the demo and the tests.

It speaks WhatsApp's own protocol to unmodified clients; it never talks to the real WhatsApp.
"""

from .hub import Options
from .refusal import Refused
from .server import SandboxWhatsApp

__all__ = ["Options", "Refused", "SandboxWhatsApp"]

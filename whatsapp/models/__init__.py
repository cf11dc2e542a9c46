"""The tables of sessions, their credentials, messages with their files, and pools."""

from whatsapp.models.conversations import Conversation
from whatsapp.models.credentials import StoredCredentials
from whatsapp.models.hourly_counts import HourlyCount
from whatsapp.models.media import MediaFile, MessageLocation
from whatsapp.models.messages import KnownNumber, Message, SendingLimits
from whatsapp.models.pools import Pool
from whatsapp.models.sessions import BUMP, Session, SessionEvent
from whatsapp.models.troubles import Trouble

__all__ = [
    "BUMP",
    "Conversation",
    "HourlyCount",
    "KnownNumber",
    "MediaFile",
    "Message",
    "MessageLocation",
    "Pool",
    "SendingLimits",
    "Session",
    "SessionEvent",
    "StoredCredentials",
    "Trouble",
]

"""Which statuses of a message YClients does not know yet, and how they are serialized. Pure functions.

YCLIENTS API reference, "SMS through operators": with 8 and 1 the sum, the currency and the number of parts
are always sent, a zero sum when the message cost nothing.
"""

from enum import IntEnum
from typing import Any

from whatsapp.models import Message

# Ends that were our own decision; every other failure is WhatsApp's or time's.
REJECTED_BECAUSE = ("opted_out", "bad_phone")


class DeliveryStatus(IntEnum):
    """A message's status as YClients numbers it."""

    HANDED_OVER = 8
    SENT = 4  # WhatsApp's server has acknowledged it
    DELIVERED = 1  # the client's phone has
    NOT_DELIVERED = 2
    REJECTED = 16
    NO_FUNDS = 52

    @property
    def flag(self) -> int:
        """Its bit in `Message.reported`."""
        return 1 << list(DeliveryStatus).index(self)


PRICED = (DeliveryStatus.HANDED_OVER, DeliveryStatus.DELIVERED)
ENDINGS = (DeliveryStatus.NOT_DELIVERED, DeliveryStatus.REJECTED, DeliveryStatus.NO_FUNDS)


def pending(*, status: str, error_code: str, reported: int, unpaid: bool) -> list[DeliveryStatus]:
    """Return what is to be reported, in order, of a message that stands at `status`.

    `reported` are the flags of what YClients knows; `unpaid`: the salon's subscription has run out. One
    ending is reported once. A message whose outcome is not known counts as not delivered, until a receipt
    says otherwise.
    """
    wanted = [DeliveryStatus.HANDED_OVER]
    if status in (Message.Status.SENT, Message.Status.DELIVERED, Message.Status.READ):
        wanted.append(DeliveryStatus.SENT)
    if status in (Message.Status.DELIVERED, Message.Status.READ):
        wanted.append(DeliveryStatus.DELIVERED)
    if status in (Message.Status.FAILED, Message.Status.EXPIRED, Message.Status.UNKNOWN):
        ended_before = any(reported & ending.flag for ending in ENDINGS)
        wanted += [] if ended_before else [_ending(status, error_code, unpaid)]
    return [one for one in wanted if not reported & one.flag]


def _ending(status: str, error_code: str, unpaid: bool) -> DeliveryStatus:
    if error_code in REJECTED_BECAUSE:
        return DeliveryStatus.REJECTED
    if unpaid and status == Message.Status.EXPIRED:  # it waited, because an unpaid salon sends nothing
        return DeliveryStatus.NO_FUNDS
    return DeliveryStatus.NOT_DELIVERED


def serialized(*, own_id: str, status: DeliveryStatus, currency: str) -> dict[str, Any]:
    """Return one element of the array that reports statuses; `own_id` is YClients' id of the message."""
    row: dict[str, Any] = {"id": own_id, "status": int(status)}
    if status in PRICED:
        # WhatsApp takes a text of any length as one message, and the salon pays by subscription.
        row |= {"payment_sum": 0, "currency_iso": currency, "parts_amount": 1}
    return row

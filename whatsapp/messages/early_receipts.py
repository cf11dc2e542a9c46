"""Receipts that come before the acknowledgement of their message is written down."""

import time
from collections import OrderedDict

from whatsapp.engine.events import Receipt
from whatsapp.sessions.policy import EARLY_RECEIPTS_KEPT, EARLY_RECEIPTS_MOST


class EarlyReceipts:
    """Kept for a minute by message id. Most of them name messages that a person wrote on the phone itself,
    so their number is bounded."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, list[Receipt]]] = OrderedDict()

    def add(self, receipt: Receipt) -> None:
        """Keep a receipt of one message."""
        now = time.monotonic()
        (message_id,) = receipt.message_ids
        self._kept.setdefault(message_id, (now, []))[1].append(receipt)
        while self._kept:
            kept_at, _receipts = next(iter(self._kept.values()))
            if len(self._kept) <= EARLY_RECEIPTS_MOST and now - kept_at <= EARLY_RECEIPTS_KEPT:
                return
            self._kept.popitem(last=False)

    def pop(self, message_id: str) -> list[Receipt]:
        """The receipts of this message, in the order they came; they are kept no longer."""
        return self._kept.pop(message_id, (0.0, []))[1]

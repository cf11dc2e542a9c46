"""Keeps the marketplace in a JSON file, so that a sandbox survives a restart."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.yclients.marketplace import Marketplace
from sandbox.yclients.salons import Installation, InstallStatus, LogEntry, Payment, Salon

FILE_NAME = "yclients.json"


def dump(marketplace: Marketplace) -> dict[str, Any]:
    """Everything worth keeping as plain JSON values; secrets of salons included, the partner token not."""
    return {
        "salons": [asdict(salon) for salon in marketplace.salons.values()],
        "tariffs": marketplace.tariffs,
        "next_payment_id": marketplace.next_payment_id,
        "next_record_id": marketplace.next_record_id,
    }


def load(marketplace: Marketplace, state: dict[str, Any]) -> None:
    """Put a dumped state into `marketplace`, replacing what it had."""
    marketplace.salons = {salon.id: salon for salon in map(_salon, state["salons"])}
    marketplace.tariffs = state["tariffs"]
    marketplace.next_payment_id = state["next_payment_id"]
    marketplace.next_record_id = state["next_record_id"]


class StateFile:
    """One file in a private folder, always replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / FILE_NAME

    def read_into(self, marketplace: Marketplace) -> None:
        """Load the file when there is one."""
        if self.path.exists():
            load(marketplace, json.loads(self.path.read_text(encoding="utf-8")))

    def write(self, marketplace: Marketplace) -> None:
        """Write beside and rename, so that a crash leaves the old or the new state, never half of one."""
        beside = self.path.with_suffix(".tmp")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(dump(marketplace), file, ensure_ascii=False, default=_plain)
        beside.replace(self.path)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _salon(row: dict[str, Any]) -> Salon:
    salon = Salon(**row)
    salon.records = {int(key): value for key, value in row["records"].items()}
    if row["installation"] is not None:
        salon.installation = _installation(row["installation"])
    return salon


def _installation(row: dict[str, Any]) -> Installation:
    install = Installation(**row)
    install.status = InstallStatus(row["status"])
    since = row["pending_since"]
    install.pending_since = datetime.fromisoformat(since) if since else None
    install.logs = [LogEntry(**entry) for entry in row["logs"]]
    install.payments = [Payment(**payment) for payment in row["payments"]]
    return install

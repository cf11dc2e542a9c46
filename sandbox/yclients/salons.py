"""Salons and what the marketplace remembers of an installation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class InstallStatus(StrEnum):
    """`connection_status.status` as YCLIENTS spells it."""

    PENDING = "pending"
    ACTIVE = "active"
    FREEZED = "freezed"
    UNINSTALLED = "uninstalled"


@dataclass
class LogEntry:
    """One change of an installation's state; `source` says who caused it."""

    changed_at: str
    status_from: str | None
    status_to: str
    source: str


@dataclass
class Payment:
    """A payment for the application; times are `YYYY-MM-DD HH:MM:SS`."""

    id: int
    payment_sum: float
    currency_iso: str
    payment_date: str
    period_from: str
    period_to: str
    is_refunded: bool = False


@dataclass
class Installation:
    """The application in one salon. `api_keys` holds every key ever received, oldest first."""

    status: InstallStatus
    created_at: str
    pending_since: datetime | None = None
    logs: list[LogEntry] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    api_keys: list[str] = field(default_factory=list)
    webhook_urls: list[str] = field(default_factory=list)
    channels: dict[str, bool] = field(default_factory=dict)
    short_names: list[str] = field(default_factory=list)
    discount: float = 0
    activations: int = 0


@dataclass
class Salon:
    """A branch. `utc_offset` is in whole hours and belongs to `timezone_name`."""

    id: int
    title: str
    city: str
    address: str
    phone: str
    email: str
    timezone_name: str
    utc_offset: int
    installation: Installation | None = None
    records: dict[int, dict[str, Any]] = field(default_factory=dict)


def seed_salons() -> list[Salon]:
    """The salons a new sandbox starts with."""
    return [
        Salon(
            307626,
            "Студия красоты «Линия»",
            "Москва",
            "Москва, ул. Покровка, 18",
            "+7 495 000-01-01",
            "liniya@example.com",
            "Europe/Moscow",
            3,
        ),
        Salon(
            412870,
            "Барбершоп «Сосед»",
            "Екатеринбург",
            "Екатеринбург, ул. Малышева, 53",
            "+7 343 000-02-02",
            "sosed@example.com",
            "Asia/Yekaterinburg",
            5,
        ),
        Salon(
            598114,
            "Салон «Айгуль»",
            "Алматы",
            "Алматы, пр. Достык, 91",
            "+7 727 000-03-03",
            "aigul@example.com",
            "Asia/Almaty",
            5,
        ),
    ]

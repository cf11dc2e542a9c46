"""Switches messages about bookings on for the demo's salons: in the product they are off, because YClients
has its own."""

import asyncio

from django.db import DatabaseError

from config.shared.database import in_thread
from marketplace.models import BookingSettings, Company

EVERY = 1.0  # seconds


async def keep_switched_on(stop: asyncio.Event) -> None:
    """Switch them on for every salon that becomes active, until `stop`; what support changes stays."""
    while not stop.is_set():
        try:
            await in_thread(switch_on)
        except DatabaseError:  # a busy SQLite: the next second is as good
            await asyncio.sleep(EVERY)
        try:
            async with asyncio.timeout(EVERY):
                await stop.wait()
        except TimeoutError:
            continue


def switch_on() -> int:
    """Give active salons settings with everything on, unless they have some; how many it were."""
    without = Company.objects.filter(status=Company.Status.ACTIVE, booking_settings__isnull=True)
    made = [
        BookingSettings(company=company, created_on=True, moved_on=True, cancelled_on=True, reminder_on=True)
        for company in without
    ]
    BookingSettings.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)

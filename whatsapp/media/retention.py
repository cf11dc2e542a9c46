"""Files whose time is over, and bytes in the storage that belong to no row."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from whatsapp.media import files
from whatsapp.models import MediaFile, Message

log = structlog.get_logger("media")
PART = 500  # names asked for at once
# What a process has written and not yet made a row of is younger.
ORPHAN_AGE = timedelta(days=2)


def old_files(before: datetime) -> QuerySet[MediaFile]:
    """Files whose time is over; what goes with a message that still waits is kept."""
    waiting = Message.objects.filter(
        media=OuterRef("pk"), status__in=[Message.Status.QUEUED, Message.Status.SENDING]
    )
    rows = MediaFile.objects.filter(pinned=False, created_at__lt=before)
    return rows.exclude(state=MediaFile.State.REMOVED).exclude(Exists(waiting))


def sweep() -> int:
    """Delete bytes that no row names, from days that are over; return how many files.

    They stay behind when a session's rows were deleted, or a process died between row and storage.
    """
    deleted = 0
    for folder in _days(before=timezone.now() - ORPHAN_AGE):
        names = [f"{folder}/{name}" for name in files.storage().listdir(folder)[1]]
        for start in range(0, len(names), PART):
            part = names[start : start + PART]
            rows = MediaFile.objects.filter(stored_name__in=part)
            known = set(rows.values_list("stored_name", flat=True))
            for name in (one for one in part if one not in known):
                files.storage().delete(name)
                deleted += 1
    if deleted:
        log.info("files without a row deleted", files=deleted)
    return deleted


def _days(*, before: datetime) -> Iterator[str]:
    """The folders of days that are over, such as `2026/05/31`."""
    last = f"{before:%Y/%m/%d}"
    for year in _folders(""):
        for month in _folders(year):
            yield from (day for day in _folders(month) if day < last)


def _folders(place: str) -> list[str]:
    try:
        names = files.storage().listdir(place)[0]
    except FileNotFoundError:
        return []
    return sorted(f"{place}/{name}" if place else name for name in names)

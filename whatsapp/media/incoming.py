"""Files and places that clients send. A file's row is made with its message, and waits for its fetching."""

import json
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from config.shared.queue import ClaimLost, Queue
from config.shared.storable import storable
from whatsapp.engine.events import Location, MediaReference
from whatsapp.media import files
from whatsapp.models import MediaFile, Message, MessageLocation

State = MediaFile.State
FETCHES: Queue[MediaFile] = Queue(
    name="media",
    model=MediaFile,
    lease=timedelta(minutes=3),
    claimed_until="claimed_until",
    state="state",
    fresh=State.WAITING,
    failed=State.FAILED,
    dead=State.DEAD,
    # About two days; WhatsApp keeps files for weeks.
    max_attempts=40,
    first=5.0,
    longest=3600.0,
)


def record(session_id: UUID | str, reference: MediaReference) -> MediaFile:
    """Make the row of a file that a client has sent, in the caller's transaction."""
    now = timezone.now()
    return MediaFile.objects.create(
        session_id=session_id,
        kind=reference["kind"],
        mime=storable(reference["mime"])[:200],
        name=storable(reference["name"])[:300],
        size=min(max(reference["size"], 0), 2**62),
        reference=json.dumps(reference),
        stored_name=files.new_name(),
        key=files.new_key(),
        next_attempt_at=now,
    )


def record_location(message: Message, place: Location) -> None:
    """Keep the place that the message names."""
    MessageLocation.objects.get_or_create(
        message=message,
        defaults={
            "latitude": place["latitude"],
            "longitude": place["longitude"],
            "name": storable(place["name"]),
            "address": storable(place["address"]),
        },
    )


def claim(pk: int) -> MediaFile | None:
    """Claim one file that is due; None when it is another's, or its session has kept too much already."""
    row = FETCHES.claim(pk)
    if row is None:
        return None
    if not files.has_room(row.session_id, row.size):
        FETCHES.retry(row, error="quota: the salon's files take up all the room they may", give_up=True)
        return None
    return row


def keep(row: MediaFile, content: bytes) -> None:
    """Store the fetched bytes; nothing is left of them when the row was removed meanwhile."""
    files.write(name=row.stored_name, key=row.key, content=content)
    try:
        FETCHES.finish(
            row,
            state=State.KEPT,
            size=len(content),
            reference="",
            kept_at=timezone.now(),
            next_attempt_at=None,
        )
    except ClaimLost:
        # Another holder of the claim writes the same file; only of a removed row nothing may stay.
        if not MediaFile.objects.filter(pk=row.pk).exclude(state=State.REMOVED).exists():
            files.drop(row.stored_name)


def fail(row: MediaFile, *, error: str, permanent: bool) -> bool:
    """Note why the file was not fetched; True when it is not tried again. `error` begins with a machine word
    and a colon."""
    return FETCHES.retry(row, error=error, give_up=permanent)


def reference_of(row: MediaFile) -> MediaReference:
    """Where WhatsApp has the file, as the engine takes it. Raises ValueError when the row does not say."""
    reference: MediaReference = json.loads(row.reference)
    return reference

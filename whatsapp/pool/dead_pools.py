"""Releases at once what dead pools of this machine held, instead of when their leases run out."""

from pathlib import Path

import structlog
from django.conf import settings

from whatsapp.models import Pool
from whatsapp.pool import process_lock
from whatsapp.sessions import leases

log = structlog.get_logger("pool")


def locks_folder() -> Path:
    """Where the pools of this machine have their locks."""
    return Path(settings.WHATSAPP_STORE_DIR) / "pools"


def release_dead_pools() -> tuple[str, ...]:
    """Release the leases of pools that are proven dead; return the names of those that live."""
    owners = process_lock.read_owners(locks_folder())
    for owner in owners.dead:
        released = leases.release_all(owner=owner)
        Pool.objects.filter(name=owner).delete()
        process_lock.forget(locks_folder(), owner)
        log.warning("pool is dead", pool=owner, sessions=released)
    return owners.alive

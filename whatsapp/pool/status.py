"""The state of all pools and sessions for operators: who lives, who holds what, what nobody holds."""

from dataclasses import asdict, dataclass, field
from typing import Any

from django.db.models import Count, Min
from django.utils import timezone

from whatsapp.models import Pool, Session
from whatsapp.sessions import leases
from whatsapp.sessions.services import LEFT_ALONE_AFTER, POOL_SILENCE


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """One pool as its last heartbeat described it; `hosts` are dicts of `whatsapp.engine.HostInfo`."""

    name: str
    alive: bool
    heartbeat_age: float  # seconds
    capacity: int
    sessions: int
    leases: int  # living leases in the sessions' rows
    own_rss_bytes: int
    hosts_rss_bytes: int
    hosts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """All pools and sessions at one moment.

    `oldest_lease` is the seconds until the lease that was prolonged longest ago runs out (None without any);
    `left_alone` are ids of sessions with work to do that no pool has held for LEFT_ALONE_AFTER seconds.
    """

    pools: list[PoolSnapshot]
    sessions: dict[str, int]
    wanted: dict[str, int]
    held: int
    oldest_lease: float | None
    left_alone: list[str]

    @property
    def is_well(self) -> bool:
        """A pool lives and no wanted session is left alone, or none is wanted at all."""
        return not self.left_alone and (any(pool.alive for pool in self.pools) or not self.wanted_at_work)

    @property
    def wanted_at_work(self) -> int:
        """Sessions that a pool should hold or look at."""
        return self.wanted.get(Session.Wanted.LINKED, 0) + self.wanted.get(Session.Wanted.UNLINKED, 0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "is_well": self.is_well}


def read_snapshot(*, most_named: int = 50) -> PoolStatus:
    """Read the state of all pools; names at most `most_named` sessions that are left alone."""
    now = timezone.now()
    held = Session.objects.filter(lease_expires_at__gt=now).exclude(lease_owner="")
    by_owner = dict(held.values_list("lease_owner").annotate(Count("pk")).order_by())
    oldest = held.aggregate(oldest=Min("lease_expires_at"))["oldest"]
    alone = leases.left_alone(seconds=LEFT_ALONE_AFTER).order_by("updated_at")
    return PoolStatus(
        pools=[_pool(pool, by_owner.get(pool.name, 0)) for pool in Pool.objects.order_by("-heartbeat_at")],
        sessions=_counts("status"),
        wanted=_counts("wanted"),
        held=sum(by_owner.values()),
        oldest_lease=round((oldest - now).total_seconds(), 1) if oldest else None,
        left_alone=[str(pk) for pk in alone.values_list("pk", flat=True)[:most_named]],
    )


def _counts(column: str) -> dict[str, int]:
    return dict(Session.objects.values_list(column).annotate(Count("pk")).order_by(column))


def _pool(pool: Pool, held: int) -> PoolSnapshot:
    age = timezone.now() - pool.heartbeat_at
    return PoolSnapshot(
        name=pool.name,
        alive=age < POOL_SILENCE,
        heartbeat_age=round(age.total_seconds(), 1),
        capacity=pool.capacity,
        sessions=pool.sessions,
        leases=held,
        own_rss_bytes=pool.own_rss_bytes,
        hosts_rss_bytes=pool.rss_bytes,
        hosts=list(pool.engine_hosts),
    )

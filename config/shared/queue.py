"""Rows as queues: what is due, who works on it, when it is tried again, and what is given up.

A table becomes a queue by naming its columns in a `Queue`. A claim is a conditional update that writes into
the row until when it holds: of all workers that see a row as due, one changes it. What a worker writes
afterwards is written only while its claim still stands in the row; so a worker that was too slow, and whose
row another one has by now, changes nothing. A worker that dies leaves a claim that runs out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db import transaction
from django.db.models import F, Model, Q, QuerySet
from django.utils import timezone

from config.shared import hints
from config.shared.backoff import backoff
from config.shared.counting import bounded_count

Row = TypeVar("Row", bound=Model)
NEVER_FINISHED = "given up: every worker that tried it was interrupted"


class ClaimLost(Exception):
    """The claim has run out and another worker has the row, or the row was changed by somebody meanwhile."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How a queue stands: rows due now, since when the first one is, rows that were given up."""

    due: int
    oldest: datetime | None
    dead: int


@dataclass(frozen=True, kw_only=True)
class Queue(Generic[Row]):
    """The columns that make the rows of `model` a queue, and how long and how often a row is tried.

    `due_at` is when a row may be claimed; an empty one means never, or with `null_is_due` at once.
    `claimed_until` holds the claim; without such a column a claim moves `due_at` on.
    `attempts` counts claims of single rows, `error` keeps why the last one failed; both may be "" (not kept).
    `state` is open while it is `fresh` or `failed`, and `dead` after `max_attempts`; "" when there is none.
    `where` holds for every row of the queue, and names columns of this very table: PostgreSQL does not look
    at other tables again when it has waited for the row's lock.
    `defer` names columns that a claimed row comes without, such as encrypted ones that nobody needs.
    `lease` is how long a claim holds; `first` and `longest` are seconds of `backoff`.
    """

    name: str
    model: type[Row]
    lease: timedelta
    due_at: str = "next_attempt_at"
    null_is_due: bool = False
    claimed_until: str = ""
    attempts: str = "attempts"
    error: str = "last_error"
    state: str = ""
    fresh: str = ""
    failed: str = ""
    dead: str = ""
    where: Q = field(default_factory=Q)
    defer: tuple[str, ...] = ()
    max_attempts: int = 0
    first: float = 1.0
    longest: float = 3600.0

    def due(self, *, limit: int) -> list[Any]:
        """Return keys of rows that may be claimed now, the longest waiting first."""
        return list(self.ready().values_list("pk", flat=True)[:limit])

    def ready(self) -> QuerySet[Row]:
        """The rows that may be claimed now, the longest waiting first."""
        now = timezone.now()
        first = F(self.due_at).asc(nulls_first=True) if self.null_is_due else F(self.due_at).asc()
        return self._open().filter(self._is_due(now), self._is_free(now)).order_by(first, "pk")

    def claim(self, pk: Any, *, early: bool = False, **changes: Any) -> Row | None:
        """Claim one row, count the attempt, set `changes` too; None when it is another's, or not due.

        With `early` the row need not be due, only unclaimed; where a claim moves `due_at`, never tried.
        """
        now = timezone.now()
        until = now + self.lease
        waits = self._is_due(now)
        if early:
            waits = Q() if self.claimed_until else waits | Q(**{self.attempts: 0})
        counted = {self.attempts: F(self.attempts) + 1} if self.attempts else {}
        mine = self._open().filter(waits, self._is_free(now), pk=pk)
        if not mine.update(**{**counted, **changes, self._claim_column: until}):
            return None
        row = self._all().defer(*self.defer).filter(pk=pk).first()
        if row is not None:
            setattr(row, self._claim_column, until)
            if self.state and 0 < self.max_attempts < getattr(row, self.attempts):
                self.retry(row, error=NEVER_FINISHED, give_up=True)
                return None
        return row

    def claim_batch(self, limit: int) -> tuple[datetime, list[Any]]:
        """Claim the longest waiting rows, without those that others are just claiming; count no attempt.

        Returns until when the claim holds, and the keys.
        """
        until = timezone.now() + self.lease
        with transaction.atomic():
            free = self.ready().select_for_update(skip_locked=True, no_key=True)
            pks = list(free.values_list("pk", flat=True)[:limit])
            self._all().filter(pk__in=pks).update(**{self._claim_column: until})
        return until, pks

    def held(self, row: Row) -> QuerySet[Row]:
        """The claimed row, as long as it is still claimed by the holder of `row`."""
        return self.held_until(getattr(row, self._claim_column), [row.pk])

    def held_until(self, until: datetime, pks: Sequence[Any]) -> QuerySet[Row]:
        """Those of the rows that are still claimed by the claim that holds `until`."""
        return self._open().filter(**{"pk__in": pks, self._claim_column: until})

    def renew(self, row: Row) -> None:
        """Let the claim hold for another `lease` from now. Raises ClaimLost."""
        until = timezone.now() + self.lease
        if not self.held(row).update(**{self._claim_column: until}):
            raise ClaimLost(f"{self.name} {row.pk}")
        setattr(row, self._claim_column, until)

    def release(self, row: Row) -> None:
        """End the claim and change nothing else; only where claims have a column of their own."""
        self.held(row).update(**{self.claimed_until: None})

    def finish(self, row: Row, **changes: Any) -> None:
        """End the claim, clear the error and set `changes`. Raises ClaimLost, and writes nothing then."""
        cleared = {self.error: ""} if self.error else {}
        if not self.held(row).update(**{**self._released, **cleared, **changes}):
            raise ClaimLost(f"{self.name} {row.pk}")

    def lock(self, pk: Any) -> Row | None:
        """Lock one due row until the caller's transaction ends, for work that is this transaction alone.

        None when it is another's, or not due. A worker that dies gives it back at once, and its attempt is
        not counted: `retry` it with `count`.
        """
        free = self.ready().select_for_update(skip_locked=True, no_key=True, of=("self",))
        return free.defer(*self.defer).filter(pk=pk).first()

    def retry(
        self,
        row: Row,
        *,
        error: str,
        retry_after: float | None = None,
        give_up: bool = False,
        count: bool = False,
    ) -> bool:
        """End the claim of a row that failed: try it again later, or give it up; True when it was given up.

        It is given up after `max_attempts`, or when the caller says so. A lost claim writes nothing.
        """
        tries = getattr(row, self.attempts) + count if self.attempts else 1
        give_up = give_up or 0 < self.max_attempts <= tries
        changes: dict[str, Any] = {**self._released, self.error: self._fitting(error)}
        changes |= {self.attempts: tries} if count else {}
        if give_up:
            changes |= {self.state: self.dead} if self.state else {}
            changes |= {self.due_at: None} if self._field(self.due_at).null else {}
        else:
            changes[self.due_at] = timezone.now() + self.pause(tries, retry_after)
            changes |= {self.state: self.failed} if self.failed else {}
        self.held(row).update(**changes)
        return give_up

    def pause(self, tries: int, retry_after: float | None = None) -> timedelta:
        """How long a row that failed so many times waits."""
        return timedelta(
            seconds=backoff(tries, first=self.first, longest=self.longest, retry_after=retry_after)
        )

    def given_up(self) -> QuerySet[Row]:
        """The rows that are tried no more."""
        if not self.state:
            return self._all().none()
        return self._all().filter(self.where, **{self.state: self.dead})

    def replay(self, rows: QuerySet[Row], **changes: Any) -> int:
        """Let workers try these rows again as if they were new, and set `changes`; return how many."""
        changes[self.due_at] = timezone.now()
        changes |= {self.state: self.fresh} if self.state else {}
        changes |= {self.attempts: 0} if self.attempts else {}
        changes |= {self.error: ""} if self.error else {}
        replayed = rows.update(**{**self._released, **changes})
        hints.wake_workers()
        return replayed

    def backlog(self, rows: QuerySet[Any] | None = None, *, since: str = "") -> Backlog:
        """How many rows are due and since when; bounded in cost however many there are.

        `rows` are the due ones where they wait for more than their time, `since` their column of it.
        """
        ready = self.ready() if rows is None else rows
        since = since or self.due_at
        waited = ready.filter(**{f"{since}__isnull": False}).order_by(since)
        return Backlog(
            due=bounded_count(ready.order_by()),
            oldest=waited.values_list(since, flat=True).first(),
            dead=bounded_count(self.given_up()),
        )

    @property
    def _claim_column(self) -> str:
        return self.claimed_until or self.due_at

    @property
    def _released(self) -> dict[str, Any]:
        return {self.claimed_until: None} if self.claimed_until else {}

    def _all(self) -> QuerySet[Row]:
        return self.model._default_manager.all()

    def _open(self) -> QuerySet[Row]:
        """What is neither done nor given up; compared as the partial indexes are."""
        if not self.state:
            return self._all().filter(self.where)
        is_open = (
            {f"{self.state}__in": [self.fresh, self.failed]} if self.failed else {self.state: self.fresh}
        )
        return self._all().filter(self.where, **is_open)

    def _is_due(self, now: datetime) -> Q:
        return self._before(self.due_at, now, or_empty=self.null_is_due)

    def _is_free(self, now: datetime) -> Q:
        return self._before(self.claimed_until, now, or_empty=True) if self.claimed_until else Q()

    @staticmethod
    def _before(column: str, now: datetime, *, or_empty: bool) -> Q:
        reached = Q(**{f"{column}__lte": now})
        return reached | Q(**{f"{column}__isnull": True}) if or_empty else reached

    def _field(self, name: str) -> Any:
        return self.model._meta.get_field(name)

    def _fitting(self, error: str) -> str:
        return error[: self._field(self.error).max_length]

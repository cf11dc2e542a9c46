"""Counting in tables that may have millions of rows: as far as anybody needs, and no further."""

from typing import Any

from django.db.models import QuerySet

MOST_COUNTED = 10_000


def bounded_count(rows: QuerySet[Any], most: int = MOST_COUNTED) -> int:
    """The number of rows, at most `most` + 1. Needs an index for the rows' condition to be fast."""
    return int(rows.order_by().values("pk")[: most + 1].count())


def counted(number: int, most: int = MOST_COUNTED) -> str:
    """A bounded count for people: `10000+` when there are more."""
    return str(number) if number <= most else f"{most}+"

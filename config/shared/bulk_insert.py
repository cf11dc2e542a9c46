"""Inserting many rows by one statement that has one parameter: a JSON array of them.

Django's `bulk_create` makes a parameter of every value of every row, which costs more than the insertion
itself, in this process and in the database.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models import Field, Model

PLAIN_TYPES = (str, int, bool)
PLAIN_FIELDS = (
    *(models.CharField, models.TextField, models.BooleanField),
    *(models.IntegerField, models.PositiveIntegerField, models.PositiveSmallIntegerField),
)


def insert_new(rows: Sequence[Model], *, unique: Sequence[str]) -> dict[tuple[Any, ...], Any]:
    """Insert rows of one model but those that are there already; return the new ones' keys.

    `unique` names the columns (`session_id`, not `session`) of a unique constraint; the result maps their
    values to the new primary key, and lacks the rows that were there. Not for JSON and binary fields.
    """
    if not rows:
        return {}
    model = type(rows[0])
    given = _prepared(rows, _fields(model))
    statement = _statement(model, tuple(unique), connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(statement, [json.dumps(given, default=_text)])
        found = cursor.fetchall()
    columns = [field for name in unique for field in _fields(model) if field.column == name]
    return {
        tuple(column.to_python(value) for column, value in zip(columns, values, strict=True)): pk
        for pk, *values in found
    }


def _prepared(rows: Sequence[Model], fields: "list[Field[Any, Any]]") -> list[dict[str, Any]]:
    """Return the rows' values by column, as the database takes them; equal ones are prepared once."""
    database = connections[DEFAULT_DB_ALIAS]  # past the proxy, which costs more than most fields
    known: dict[tuple[str, Any], Any] = {}

    def prepare(field: "Field[Any, Any]", row: Model) -> Any:
        value = field.pre_save(row, True)
        if value is None or (type(value) in PLAIN_TYPES and type(field) in PLAIN_FIELDS):
            return value
        key = (field.column or "", value)
        if key not in known:
            known[key] = field.get_db_prep_save(value, database)
        return known[key]

    return [{str(field.column): prepare(field, row) for field in fields} for row in rows]


@lru_cache(maxsize=16)
def _fields(model: type[Model]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.local_concrete_fields if not field.primary_key]


@lru_cache(maxsize=16)
def _statement(model: type[Model], unique: tuple[str, ...], vendor: str) -> str:
    quote = connection.ops.quote_name
    columns = {field.column: field.db_type(connection) for field in _fields(model) if field.column}
    names, keys = ", ".join(map(quote, columns)), ", ".join(map(quote, unique))
    if vendor == "postgresql":
        types = ", ".join(f"{quote(name)} {kind}" for name, kind in columns.items())
        values, source = names, f"jsonb_to_recordset(%s) AS given({types})"
    else:
        values, source = ", ".join(f"value->>'{name}'" for name in columns), "json_each(%s)"
    return (
        f"INSERT INTO {quote(model._meta.db_table)} ({names}) SELECT {values} FROM {source} WHERE true "  # noqa: S608
        f"ON CONFLICT ({keys}) DO NOTHING RETURNING {quote(str(model._meta.pk.column))}, {keys}"
    )


def _text(value: object) -> str:
    if isinstance(value, datetime | UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be inserted this way")

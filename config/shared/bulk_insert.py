"""Inserting many rows by one statement that has two parameters: a JSON array of them, and what they share.

Django's `bulk_create` makes a parameter of every value of every row, which costs more than the insertion
itself, in this process and in the database.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models import NOT_PROVIDED, Field, Model

from config.shared import hints

PLAIN_TYPES = frozenset({str, int, bool, type(None)})
PLAIN_FIELDS = frozenset(
    {
        *(models.CharField, models.TextField, models.BooleanField),
        *(models.IntegerField, models.PositiveIntegerField, models.PositiveSmallIntegerField),
    }
)


@dataclass(frozen=True, slots=True)
class Guard:
    """A SELECT of one truth value, and its parameters; it may lock rows. For PostgreSQL."""

    statement: str
    parameters: Sequence[Any]


def insert_new(
    model: type[Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    unique: Sequence[str],
    only_if: Guard | None = None,
    wake: Sequence[str] = (),
) -> dict[tuple[Any, ...], Any]:
    """Insert rows of a model but those that are there already; return the new ones' keys.

    A row maps columns (`session_id`, not `session`) to values, every row the same ones; the other columns
    have their default. `unique` names the columns of a unique constraint; the result maps their values to
    the new primary key, and lacks the rows that were there. Not for JSON and binary fields.

    Nothing is inserted when `only_if` is not true. `wake` names the channels of `hints` that are told at the
    commit.
    """
    if not rows:
        return {}
    fields = _fields(model)
    given = tuple(rows[0])
    columns = [_prepared(fields[name], [row[name] for row in rows]) for name in given]
    shared = {
        name: _prepared(field, [field.get_default()])[0]
        for name, field in fields.items()
        if name not in given
    }
    listed = [dict(zip(given, values, strict=True)) for values in zip(*columns, strict=True)]
    condition, parameters = (only_if.statement, only_if.parameters) if only_if else ("true", ())
    statement = _statement(model, given, tuple(unique), tuple(wake), condition, connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(statement, [json.dumps(listed), json.dumps(shared), *parameters])
        found = cursor.fetchall()
    if connection.vendor != "postgresql":
        for channel in wake:
            hints.wake(channel)
    keys = [fields[name] for name in unique]
    return {
        tuple(key.to_python(value) for key, value in zip(keys, row[1:], strict=False)): row[0]
        for row in found
    }


def _prepared(field: "Field[Any, Any]", values: list[Any]) -> list[Any]:
    """Return a column's values as the database takes them; equal ones are prepared once."""
    if type(field) in PLAIN_FIELDS and {type(value) for value in values} <= PLAIN_TYPES:
        return values
    database = connections[DEFAULT_DB_ALIAS]
    known = {value: _text(field.get_db_prep_save(value, database)) for value in {*values}}
    return [known[value] for value in values]


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, datetime | UUID) else value


@lru_cache(maxsize=16)
def _fields(model: type[Model]) -> "dict[str, Field[Any, Any]]":
    concrete = model._meta.local_concrete_fields
    return {str(field.column): field for field in concrete if not field.primary_key}


def _left_out(model: type[Model], given: Sequence[str]) -> list[str]:
    """The columns with a default of Django's; the database fills in those with one of its own."""
    fields = _fields(model).items()
    return [name for name, field in fields if name not in given and field.db_default is NOT_PROVIDED]


@lru_cache(maxsize=16)
def _statement(
    model: type[Model],
    given: tuple[str, ...],
    unique: tuple[str, ...],
    wake: tuple[str, ...],
    condition: str,
    vendor: str,
) -> str:
    quote = connection.ops.quote_name
    shared = _left_out(model, given)
    if vendor == "postgresql":
        source = f"jsonb_to_recordset(%s) AS given({_typed(model, given)})"
        source += f", jsonb_to_record(%s) AS shared({_typed(model, shared)})"
        values = [f"given.{quote(name)}" for name in given]
        values += [f"shared.{quote(name)}" for name in shared]
    else:
        source = "json_each(%s) AS given, (SELECT %s AS value) AS shared"
        values = [f"given.value->>'{name}'" for name in given] + [
            f"shared.value->>'{name}'" for name in shared
        ]
    names, keys = ", ".join(map(quote, (*given, *shared))), ", ".join(map(quote, unique))
    returned = [quote(str(model._meta.pk.column)), keys]
    if vendor == "postgresql":
        # Evaluated once and with the first row: one round trip less than a statement of its own.
        returned += [f"(SELECT pg_notify('{channel}', ''))" for channel in wake]
    return (
        f"INSERT INTO {quote(model._meta.db_table)} ({names}) SELECT {', '.join(values)} FROM {source} "  # noqa: S608
        f"WHERE ({condition}) ON CONFLICT ({keys}) DO NOTHING RETURNING {', '.join(returned)}"
    )


def _typed(model: type[Model], names: Sequence[str]) -> str:
    fields = _fields(model)
    return ", ".join(
        f"{connection.ops.quote_name(name)} {fields[name].db_type(connection)}" for name in names
    )

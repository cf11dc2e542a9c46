"""Makes and reads databases that another process uses, past Django."""

import sqlite3
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql


def rows_of(database_url: str, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of one statement on a fresh connection; `%s` stands for a parameter on both databases."""
    scheme, _, rest = database_url.partition("://")
    if scheme == "sqlite":
        connection = sqlite3.connect(f"file:{rest.removeprefix('/')}", uri=True, timeout=10)
        try:
            with connection:
                return connection.execute(statement.replace("%s", "?"), parameters).fetchall()
        finally:
            connection.close()
    with psycopg.connect(database_url, connect_timeout=5) as postgres:
        # Statements are written out in the tests, so the literal-only type of psycopg is met by encoding.
        cursor = postgres.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def create_database(server_url: str, name: str, *, template: str = "template0") -> str:
    """Creates a PostgreSQL database, as a copy of `template` when one is named, and returns its address.

    `server_url` names any other database of the server. Nobody may be connected to the template.
    """
    names = sql.Identifier(name), sql.Identifier(template)
    _outside_transaction(server_url, sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
    return database_url(server_url, name)


def database_url(server_url: str, name: str) -> str:
    """The address of another database of the same server."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def drop_database(server_url: str, name: str) -> None:
    """Drops a PostgreSQL database even when processes are still connected to it."""
    _outside_transaction(
        server_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )


def _outside_transaction(server_url: str, statement: sql.Composed) -> None:
    with psycopg.connect(server_url, autocommit=True, connect_timeout=5) as connection:
        connection.execute(statement)

"""Makes and reads databases that another process uses, past Django."""

import sqlite3
import threading
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


class KeptConnection:
    """`rows_of` one PostgreSQL database many times, for a connection costs more than most statements.

    Threads may share it. SQLite's connections cost nothing and are not kept.
    """

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def rows_of(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As `rows_of`; a server that was started anew meanwhile is connected to again."""
        if not self.database_url.startswith("postgres"):
            return rows_of(self.database_url, statement, parameters)
        with self._lock:
            try:
                return self._execute(statement, parameters)
            except psycopg.OperationalError:
                if self._connection is None or not self._connection.closed:
                    raise
                return self._execute(statement, parameters)

    def _execute(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            # Without prepared statements, which a change of the schema would break.
            self._connection = psycopg.connect(
                self.database_url, connect_timeout=5, autocommit=True, prepare_threshold=None
            )
        cursor = self._connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """Closes it; the next statement would open another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()


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

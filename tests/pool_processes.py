"""Several session pools as processes, each on a machine of its own: its own key stores, its own line to the
database. For journeys, storms and benchmarks."""

import sys
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

from cryptography.fernet import Fernet

from tests.deployments import Deployment
from tests.processes import Process, wait_until
from tests.stand_ins import OutsideError
from tests.tcp_proxy import TcpProxy

NEW_SESSIONS = """
from whatsapp.sessions import services
for number in range({count}):
    session = services.create_session()
    services.view(session=session)
    print(session.pk)
"""
PATIENCE = 120.0  # seconds
IMPATIENT = "-c idle_in_transaction_session_timeout=5s"  # PostgreSQL's patience with a pool that is cut off


class Pools:
    """Pools beside a deployment's own; `phones` are the linked salons' numbers by session id."""

    def __init__(self, system: Deployment) -> None:
        self.system = system
        self.phones: dict[str, str] = {}
        self.proxies: dict[str, TcpProxy] = {}
        self._closing = ExitStack()
        self._fernet = Fernet(system.environment["FIELD_ENCRYPTION_KEYS"].split(",")[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.close()

    # --- processes -----------------------------------------------------------------------------

    def add(self, name: str, *, machine: str = "", **settings: str) -> Process:
        """Make a pool known, with a line to PostgreSQL of its own; not started.

        Pools of one `machine` share their folder of key stores; else it has a machine of its own.
        """
        url = self.system.environment["DATABASE_URL"]
        there = urlsplit(url)
        tcp_proxy = self.proxies[name] = self._closing.enter_context(
            TcpProxy(there.hostname or "127.0.0.1", there.port or 5432)
        )
        return self.system.add(
            name,
            [sys.executable, "manage.py", "run_session_pool"],
            ready=lambda process: self._beats(process),
            DATABASE_URL=f"{tcp_proxy.url_through(url)}?options={quote(IMPATIENT)}",
            WHATSAPP_STORE_DIR=str(self.system.folder / f"{machine or name}-stores"),
            **settings,
        )

    def _beats(self, process: Process) -> bool:
        return bool(self.system.query("SELECT 1 FROM whatsapp_pool WHERE name LIKE %s", f"%:{process.pid}:%"))

    def running(self) -> list[str]:
        """The names of the pools that run."""
        return [name for name in self.proxies if self.system.processes[name].running]

    def leased_by(self, name: str, *, condition: str = "true") -> list[str]:
        """The sessions whose lease a running pool holds."""
        process = self.system.processes[name]
        if not process.running:
            return []
        statement = f"SELECT id FROM whatsapp_session WHERE {condition} AND lease_owner LIKE %s"  # noqa: S608
        return [str(row[0]) for row in self.system.query(statement, f"%:{process.pid}:%")]

    def held_by(self, name: str) -> list[str]:
        """The sessions that a running pool holds and has linked."""
        return self.leased_by(name, condition="status = 'connected'")

    def shards_of(self, name: str) -> list[int]:
        """The process ids of a running pool's engine hosts that hold linked sessions, by its last heartbeat;
        the fullest first."""
        statement = "SELECT engine_hosts FROM whatsapp_pool WHERE name LIKE %s"
        ((hosts,),) = self.system.query(statement, f"%:{self.system.processes[name].pid}:%")
        shards = [host for host in hosts if host["kind"] == "shard" and host["sessions"]]
        shards = [host for host in shards if Path(f"/proc/{host['pid']}").exists()]
        return [host["pid"] for host in sorted(shards, key=lambda host: -host["sessions"])]

    # --- linking -------------------------------------------------------------------------------

    def link(self, count: int, *, first_phone: int = 79005000000) -> None:
        """Link so many salons by scanning codes."""
        made = self.system.shell(NEW_SESSIONS.format(count=count)).split()
        phones = {session: str(first_phone + number) for number, session in enumerate(made)}
        for phone in phones.values():
            self.system.whatsapp.add_phone(phone)
        shown: set[tuple[str, str]] = set()
        deadline = time.monotonic() + PATIENCE
        while left := self._not_linked(made):
            assert time.monotonic() < deadline, f"not linked: {left}\n{self.system.logs()}"
            for session, qr in self._codes(left):
                if (session, qr) not in shown:
                    shown.add((session, qr))
                    self._scan(phones[session], qr)
            time.sleep(0.1)
        self.phones |= phones
        self.wait_linked(phones)

    def _not_linked(self, sessions: list[str]) -> list[str]:
        rows = self.system.query("SELECT id FROM whatsapp_session WHERE jid <> ''")
        return sorted(set(sessions) - {str(row[0]) for row in rows})

    def _codes(self, sessions: list[str]) -> list[tuple[str, str]]:
        rows = self.system.query("SELECT id, qr FROM whatsapp_session WHERE qr <> '' AND jid = ''")
        # Somebody looks at each page, as the page itself tells every few seconds.
        self.system.query("UPDATE whatsapp_session SET viewed_at = now() WHERE jid = '' RETURNING 1")
        codes = [(str(pk), self._fernet.decrypt(qr.encode()).decode()) for pk, qr in rows]
        return [(session, qr) for session, qr in codes if session in sessions]

    def _scan(self, phone: str, qr: str) -> None:
        try:
            self.system.whatsapp.scan(phone, qr)
        except OutsideError:
            sys.stderr.write("a code was too old to be scanned\n")

    # --- what is so ----------------------------------------------------------------------------

    def state(self) -> Any:
        """The WhatsApp server's own counters."""
        return self.system.whatsapp.get("/state")

    def journal(self, since: int = 0) -> Any:
        """What the WhatsApp server has noted after this number, oldest first."""
        return self.system.whatsapp.get(f"/journal?since={since}")["events"]

    def up(self) -> set[str]:
        """The phones that have a linked connection at this moment, by the server's word."""
        return {key.partition(":")[0] for key in self.state()["linked"]}

    def are_linked(self, sessions: Collection[str], *, by: str = "") -> bool:
        """Whether a pool that runs (the one of that name) and the WhatsApp server both say so."""
        held = {session for name in ([by] if by else self.running()) for session in self.held_by(name)}
        return set(sessions) <= held and {self.phones[session] for session in sessions} <= self.up()

    def tokens(self) -> dict[str, int]:
        """The lease token of each session; it grows with every claim."""
        rows = self.system.query("SELECT id, lease_token FROM whatsapp_session")
        return {str(session): int(token) for session, token in rows}

    def wait_linked(self, sessions: Collection[str], *, by: str = "", seconds: float = PATIENCE) -> float:
        """Return, after how many seconds, when these sessions are linked (by the pool of that name)."""
        started = time.monotonic()
        self.until(lambda: self.are_linked(sessions, by=by), f"linked by {by or 'any pool'}", seconds=seconds)
        return time.monotonic() - started

    def most_at_once(self) -> int:
        """The most connections that one device ever had at the same moment."""
        return max(self.state()["most_at_once"].values(), default=0)

    def links_by_code(self) -> list[int]:
        """How often each salon was linked by a code: 1 when none was ever asked again."""
        rows = self.system.query(
            "SELECT s.id, count(e.id) FROM whatsapp_session s"
            " JOIN whatsapp_sessionevent e ON e.session_id = s.id AND e.kind = 'linked' GROUP BY s.id"
        )
        return [int(count) for _session, count in rows]

    def describe(self) -> str:
        """Every session's row, for a failure."""
        rows = self.system.query(
            "SELECT id, status, lease_owner, lease_token, attempts, last_error FROM whatsapp_session"
        )
        return "\n".join(str(row) for row in rows) + "\n"

    def until(self, condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE) -> None:
        """Wait for a condition; a failure shows rows and logs."""
        wait_until(condition, what, seconds=seconds, why=lambda: self.describe() + self.system.logs())

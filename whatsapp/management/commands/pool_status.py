"""Shows the pools, their engine hosts and their sessions to operators and their monitoring."""

import json
import sys
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from whatsapp.pool import status
from whatsapp.sessions.services import LEFT_ALONE_AFTER

MIB = 2**20


class Command(BaseCommand):
    help = (
        "Shows pools, engine hosts, memory, sessions by state and leases. Exits with 1 when sessions that "
        "are wanted are held by nobody alive."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="the same for programs")

    def handle(self, *_args: Any, **options: Any) -> None:
        stands = status.read_snapshot()
        if options["json"]:
            self.stdout.write(json.dumps(stands.as_dict(), indent=2))
        else:
            self._write(stands)
        if not stands.is_well:
            sys.exit(1)

    def _write(self, stands: status.PoolStatus) -> None:
        for pool in stands.pools:
            self.stdout.write(self._pool(pool))
            for host in pool.hosts:
                self.stdout.write(self._host(host))
        if not stands.pools:
            self.stdout.write("no pool has run within a day")
        self.stdout.write(f"sessions: {_counted(stands.sessions)}")
        self.stdout.write(f"wanted: {_counted(stands.wanted)}; held: {stands.held}")
        if stands.oldest_lease is not None:
            self.stdout.write(f"oldest lease: runs out in {stands.oldest_lease:.0f} s")
        for session in stands.left_alone:
            self.stdout.write(f"LEFT ALONE for more than {LEFT_ALONE_AFTER:.0f} s: session {session}")

    @staticmethod
    def _pool(pool: status.PoolSnapshot) -> str:
        return (
            f"pool {pool.name}: {'alive' if pool.alive else 'SILENT'}, heartbeat "
            f"{pool.heartbeat_age:.0f} s ago, {pool.sessions} of {pool.capacity} sessions, "
            f"{pool.leases} leases, {pool.own_rss_bytes // MIB} MiB and {len(pool.hosts)} hosts with "
            f"{pool.hosts_rss_bytes // MIB} MiB"
        )

    @staticmethod
    def _host(host: dict[str, Any]) -> str:
        age = max(0.0, time.time() - host["started_at"])
        return (
            f"  {host['id']}, pid {host['pid']}: {host['kind']}, {host['sessions']} sessions, "
            f"{host['rss_bytes'] // MIB} MiB, {host['threads']} threads, {age / 3600:.1f} h old"
        )


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in counts.items()) or "none"

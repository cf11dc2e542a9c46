"""Runs a session pool until SIGTERM or SIGINT."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand

from config.shared.metrics import serve_metrics
from whatsapp.pool.processes import make_pool, run_until_told


class Command(BaseCommand):
    help = "Runs the linked WhatsApp sessions. Start as many as you like: they share the sessions by leases."

    def handle(self, *_args: Any, **_options: Any) -> None:
        serve_metrics()

        async def work(stop: asyncio.Event) -> None:
            await make_pool().run(stop)

        run_until_told(work)

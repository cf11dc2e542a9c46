"""Runs a worker until SIGTERM or SIGINT."""

import asyncio
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand

from config.shared.metrics import serve_metrics
from marketplace.worker.loop import Worker
from whatsapp.pool.processes import run_until_told


class Command(BaseCommand):
    help = "Does what is due: activations, failed webhooks, lookups at YClients. Start as many as you like."

    def handle(self, *_args: Any, **_options: Any) -> None:
        serve_metrics()
        worker = Worker()

        async def work(stop: asyncio.Event) -> None:
            await worker.run(stop)

        run_until_told(work)
        if worker.unfinished:
            # Python would wait for threads that wait for the network; their rows are safe to leave.
            sys.stderr.flush()
            os._exit(0)

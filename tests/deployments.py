"""The product in its two shapes, with local stand-ins for the services outside, all as processes.

`production_deployment`: daphne, a session pool and a worker on PostgreSQL and Redis.
`embedded_deployment`: `manage.py demo`, everything in one process on SQLite.
"""

import json
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.environment import APPLICATION_ID, PARTNER_TOKEN, SECRETS, clean_environment
from tests.processes import BINARIES, Process, Stack, answers
from tests.server import free_port, temporary_folder
from tests.servers import Postgres, Redis, start_postgres, start_redis
from tests.stand_ins import Control, WhatsApp, YClients

PRODUCT = ("web", "pool", "worker")


class Deployment(Stack):
    """A stack whose `yclients` and `whatsapp` are the controls of the stand-ins; `redis` and `postgres` are
    what it uses."""

    yclients: YClients
    whatsapp: WhatsApp
    redis: Redis
    postgres: Postgres


def production_deployment(
    *, folder: Path, database_url: str, redis_url: str, forked: bool = False, **settings: str
) -> Deployment:
    """Stand-ins are running, the product is not: `migrate` (unless the database is a migrated copy), then
    `start("web", "pool", "worker")`. `settings` are further environment variables of the product."""
    port = free_port()
    system = Deployment(
        folder=folder,
        environment={**clean_environment(), "BASE_URL": f"http://127.0.0.1:{port}"},
        forked=forked,
    )
    outside = _start_stand_ins(system)
    system.environment |= {
        **SECRETS,
        "DEBUG": "false",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder / "data"),
        "YCLIENTS_PARTNER_TOKEN": PARTNER_TOKEN,
        "YCLIENTS_APPLICATION_ID": str(APPLICATION_ID),
        "WHATSAPP_ENGINE": "neonize",
        "WHATSAPP_SANDBOX": "true",
        **outside,
        **settings,
    }
    daphne = [str(BINARIES / "daphne"), "config.asgi:application", "-b", "127.0.0.1", "-p", str(port)]
    manage = [sys.executable, "manage.py"]
    system.add("web", daphne, ready=lambda _: answers(f"{system.url}/healthz"))
    system.add("pool", [*manage, "run_session_pool"], ready=lambda process: _pool_beats(system, process))
    system.add("worker", [*manage, "run_worker"], ready=lambda process: process.said("worker started"))
    return system


def deployment_on_own_servers(
    closing: ExitStack, name: str, *, durable: bool = False, **settings: str
) -> Deployment:
    """`production_deployment` on a PostgreSQL (`postgres`) and a Redis (`redis`) that end with `closing`; to
    close the deployment before is the caller's part."""
    postgres = closing.enter_context(start_postgres(durable=durable))
    redis = closing.enter_context(start_redis())
    system = production_deployment(
        folder=temporary_folder(name),
        database_url=postgres.create_database("own"),
        redis_url=redis.url,
        forked=False,
        **settings,
    )
    system.postgres, system.redis = postgres, redis
    return system


def embedded_deployment(*, folder: Path, **settings: str) -> Deployment:
    """`manage.py demo`, running: product and stand-ins in one process named `demo`, on SQLite."""
    port = free_port()
    data = folder / "data"
    environment = {
        **clean_environment(),
        "PORT": str(port),
        "BASE_URL": f"http://127.0.0.1:{port}",
        "DATA_DIR": str(data),
        "DATABASE_URL": f"sqlite:///{data / 'db.sqlite3'}",
        **settings,
    }
    system = Deployment(folder=folder, environment=environment)
    command = [sys.executable, "manage.py", "demo"]
    system.add("demo", command, ready=lambda _: answers(f"{system.url}/demo/state"))
    start_demo(system)
    return system


def start_demo(system: Deployment) -> None:
    """Starts the demo, also after a kill; its stand-ins take new addresses each time."""
    system.start("demo")
    state = Control(system.url).get("/demo/state")
    system.yclients, system.whatsapp = (
        YClients(state["marketplace_url"]),
        WhatsApp(state["phone_url"]),
    )


def _pool_beats(system: Deployment, process: Process) -> bool:
    """The pool's row is named by its process id, so an earlier pool's last heartbeat does not count."""
    return bool(system.query("SELECT 1 FROM whatsapp_pool WHERE name LIKE %s", f"%:{process.pid}:%"))


def _start_stand_ins(system: Deployment) -> dict[str, str]:
    """Starts both on fixed ports, so that they come back at the same address; the product's settings."""
    module = [sys.executable, "-m"]
    ports = [part for name in ("proxy", "ws", "control") for part in (f"--{name}-port", str(free_port()))]
    state = str(system.folder / "sandbox-whatsapp")
    whatsapp = [*module, "sandbox.whatsapp", *ports, "--state-dir", state]
    yclients = [*module, "sandbox.yclients", "--port", str(free_port()), "--product-url", system.url]
    yclients += [
        "--application-id",
        str(APPLICATION_ID),
        "--state-dir",
        str(system.folder / "sandbox-yclients"),
    ]
    system.add("sandbox-whatsapp", whatsapp, ready=lambda process: process.said("\n"))
    system.add(
        "sandbox-yclients",
        yclients,
        ready=lambda process: process.said("\n"),
        YCLIENTS_PARTNER_TOKEN=PARTNER_TOKEN,
    )
    system.start("sandbox-whatsapp", "sandbox-yclients")
    there = _first_line(system.processes["sandbox-whatsapp"])
    system.whatsapp = WhatsApp(there["control_url"])
    settings = {name: value for name, value in there.items() if name.startswith("WHATSAPP_")}
    there = _first_line(system.processes["sandbox-yclients"])
    system.yclients = YClients(there["url"])
    return {
        **settings,
        "YCLIENTS_API_URL": there["api_url"],
        "YCLIENTS_MARKETPLACE_URL": there["marketplace_url"],
    }


def _first_line(process: Process) -> dict[str, str]:
    """Both stand-ins print one JSON object when they are ready."""
    line = next(line for line in process.log_text().splitlines() if line.startswith("{"))
    found: dict[str, str] = json.loads(line)
    return found

"""The product in its two shapes, with local stand-ins for the services outside, all as processes.

`production_scene`: daphne, a session pool and a worker on PostgreSQL and Redis.
`embedded_scene`: `manage.py demo`, everything in one process on SQLite.
"""

import json
import sys
from pathlib import Path

from tests.environment import APPLICATION_ID, PARTNER_TOKEN, SECRETS, clean_environment
from tests.outside import Control, WhatsApp, YClients
from tests.processes import BINARIES, Process, Stack, answers
from tests.server import free_port

PRODUCT = ("web", "pool", "worker")


class Scene(Stack):
    """A stack whose `yclients` and `whatsapp` are the stand-ins' controls."""

    yclients: YClients
    whatsapp: WhatsApp


def production_scene(*, folder: Path, database_url: str, redis_url: str, **settings: str) -> Scene:
    """Stand-ins are running, the product is not: `migrate` (unless the database is a migrated copy), then
    `start("web", "pool", "worker")`. `settings` are further environment variables of the product."""
    port = free_port()
    scene = Scene(folder=folder, environment={**clean_environment(), "BASE_URL": f"http://127.0.0.1:{port}"})
    outside = _start_stand_ins(scene)
    scene.environment |= {
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
    scene.add("web", daphne, ready=lambda _: answers(f"{scene.url}/healthz"))
    scene.add("pool", [*manage, "run_session_pool"], ready=lambda process: _pool_beats(scene, process))
    scene.add("worker", [*manage, "run_worker"], ready=lambda process: process.said("worker started"))
    return scene


def embedded_scene(*, folder: Path, **settings: str) -> Scene:
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
    scene = Scene(folder=folder, environment=environment)
    command = [sys.executable, "manage.py", "demo"]
    scene.add("demo", command, ready=lambda _: answers(f"{scene.url}/demo/state"))
    start_demo(scene)
    return scene


def start_demo(scene: Scene) -> None:
    """Starts the demo, also after a kill; its stand-ins take new addresses each time."""
    scene.start("demo")
    state = Control(scene.url).get("/demo/state")
    scene.yclients, scene.whatsapp = YClients(state["marketplace_url"]), WhatsApp(state["phone_url"])


def _pool_beats(scene: Scene, process: Process) -> bool:
    """The pool's row is named by its process id, so an earlier pool's last heartbeat does not count."""
    return bool(scene.query("SELECT 1 FROM whatsapp_pool WHERE name LIKE %s", f"%:{process.pid}:%"))


def _start_stand_ins(scene: Scene) -> dict[str, str]:
    """Starts both on fixed ports, so that they come back at the same address; the product's settings."""
    module = [sys.executable, "-m"]
    ports = [part for name in ("proxy", "ws", "control") for part in (f"--{name}-port", str(free_port()))]
    state = str(scene.folder / "sandbox-whatsapp")
    whatsapp = [*module, "sandbox.whatsapp", *ports, "--state-dir", state]
    yclients = [*module, "sandbox.yclients", "--port", str(free_port()), "--product-url", scene.url]
    yclients += [
        "--application-id",
        str(APPLICATION_ID),
        "--state-dir",
        str(scene.folder / "sandbox-yclients"),
    ]
    scene.add("sandbox-whatsapp", whatsapp, ready=lambda process: process.said("\n"))
    scene.add(
        "sandbox-yclients",
        yclients,
        ready=lambda process: process.said("\n"),
        YCLIENTS_PARTNER_TOKEN=PARTNER_TOKEN,
    )
    scene.start("sandbox-whatsapp", "sandbox-yclients")
    there = _first_line(scene.processes["sandbox-whatsapp"])
    scene.whatsapp = WhatsApp(there["control_url"])
    settings = {name: value for name, value in there.items() if name.startswith("WHATSAPP_")}
    there = _first_line(scene.processes["sandbox-yclients"])
    scene.yclients = YClients(there["url"])
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

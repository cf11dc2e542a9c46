"""Runs the recipes of deploy/ on this machine: `python -m tests.deploy_rehearsal`.

No container engine is needed: the steps of the Dockerfile are done in a plain folder, the commands are
those of the systemd units, the reverse proxy is nginx with the configuration of deploy/ and a certificate
made on the spot. Then the database is backed up, restored into an empty one, and read with the product's
keys. Needs nginx, pg_dump and psql; with promtool the alert rules are tested too.
"""

import contextlib
import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.databases import rows_of
from tests.environment import PARTNER_TOKEN, ROOT, SECRETS, clean_environment
from tests.processes import Stack, answers
from tests.server import free_port, temporary_folder
from tests.servers import Postgres, start_postgres, start_redis

DEPLOY = ROOT / "deploy"
HOST = "whatsapp.example.com"
MAKE_ROWS = """
from django.utils import timezone
from tests.marketplace.salons_data import make_active
from whatsapp.models import StoredCredentials

session = make_active().session
StoredCredentials.objects.create(session=session, store=b"keys", checksum="x", taken_at=timezone.now())
"""


def say(what: str) -> None:
    """One line for each step that went well."""
    sys.stdout.write(f"ok  {what}\n")
    sys.stdout.flush()


def run(*command: str, environment: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run a command and return what it printed; its failure ends the rehearsal with its words."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def copy_image(folder: Path) -> Path:
    """The folder that the Dockerfile makes: its COPY lines, with the packages of this clone."""
    image = folder / "product"
    image.mkdir()
    for source, target in re.findall(r"^COPY (\w[\w.]*) (\S+)$", (DEPLOY / "Dockerfile").read_text(), re.M):
        if source == "requirements.txt":
            continue
        where = image / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, where, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, where)
    (image / ".venv").symlink_to(Path(sys.executable).parents[1])
    return image


def command_of(unit: str, image: Path, ports: dict[str, int]) -> list[str]:
    """The unit's ExecStart, in our folder and on our ports (by the units')."""
    text = (DEPLOY / "systemd" / f"salon-whatsapp-{unit}.service").read_text()
    [start] = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    words = shlex.split(start.replace("/srv/product", str(image)))
    return [str(ports.get(word, word)) for word in words]


def make_certificate(folder: Path) -> Path:
    """A certificate for HOST that is its own authority, as nginx reads it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "fullchain.pem"


def proxy_configuration(folder: Path, *, web: int, ingest: int, http_port: int, https_port: int) -> Path:
    """deploy/nginx.conf with this machine's ports and folders."""
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in (
        ("server web:8000; keepalive", f"server 127.0.0.1:{web}; keepalive"),
        ("server ingest:8001;", f"server 127.0.0.1:{ingest};"),
        ("listen 80;", f"listen 127.0.0.1:{http_port};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{https_port} ssl;"),
        ("/etc/nginx/tls/", f"{folder}/tls/"),
        ("include mime.types;", "include /etc/nginx/mime.types;"),
        ("/dev/stdout", f"{folder}/access.log"),
        ("/dev/stderr", f"{folder}/error.log"),
    ):
        if old not in text:
            raise SystemExit(f"deploy/nginx.conf has no {old!r} any more")
        text = text.replace(old, new)
    if "http2 on" in text and nginx_version() < (1, 25):
        text = text.replace("http2 on;", "")
    path = folder / "nginx.conf"
    path.write_text(f"pid {folder}/nginx.pid;\n{text}")
    return path


def nginx_version() -> tuple[int, ...]:
    """Such as (1, 22, 1)."""
    shown = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(int(part) for part in re.search(r"(\d+)\.(\d+)\.(\d+)", shown).groups())  # type: ignore[union-attr]


class ProxyConnection(http.client.HTTPSConnection):
    """A connection to the proxy on this machine, whose certificate is for HOST."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(HOST, port, context=context, timeout=15)
        self.tls = context

    def connect(self) -> None:
        """As the base class, without asking a name server for HOST."""
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self.tls.wrap_socket(plain, server_hostname=HOST)


class Browser:
    """Asks the proxy over TLS, trusting its certificate alone."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.port = port
        self.context = ssl.create_default_context(cafile=str(certificate))

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
        """Status and body of one answer."""
        with contextlib.closing(ProxyConnection(self.port, self.context)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@contextlib.contextmanager
def running(stack: Stack, *names: str) -> Iterator[None]:
    """The named processes, stopped as systemd stops them."""
    try:
        stack.start(*names)
        yield
        for name in reversed(names):
            # Uvicorn ends itself by the signal that it was sent, when all is done; systemd calls that clean.
            if stack.terminate(name) not in (0, -signal.SIGTERM):
                raise SystemExit(f"{name} did not end cleanly\n{stack.logs()}")
    finally:
        stack.close()


def rehearse_processes(folder: Path, postgres: Postgres, redis_url: str) -> dict[str, str]:
    """Image folder, migration, processes, proxy; returns the product's environment."""
    image = copy_image(folder)
    web, ingest, http_port, https_port = (free_port() for _ in range(4))
    environment = {
        **clean_environment(),
        **SECRETS,
        "BASE_URL": f"https://{HOST}",
        "DATABASE_URL": postgres.create_database("live"),
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder / "data"),
        "TRUSTED_PROXIES": "1",
        "YCLIENTS_PARTNER_TOKEN": PARTNER_TOKEN,
        "YCLIENTS_APPLICATION_ID": "4242",
    }
    python = str(image / ".venv" / "bin" / "python")
    run(python, "manage.py", "migrate", "--no-input", cwd=image, environment=environment)
    say("image folder made as the Dockerfile does, database migrated")
    certificate = make_certificate(folder / "tls")
    configuration = proxy_configuration(
        folder, web=web, ingest=ingest, http_port=http_port, https_port=https_port
    )
    run("nginx", "-t", "-c", str(configuration))
    say("nginx accepts the proxy's configuration")
    stack = Stack(folder=folder, environment=environment)
    for name, ready in (
        ("web", lambda _process: answers(f"http://127.0.0.1:{web}/healthz")),
        ("ingest", lambda _process: answers(f"http://127.0.0.1:{ingest}/webhook/yclients")),
        ("pool", lambda process: process.said("pool started")),
        ("worker", lambda process: process.said("worker started")),
    ):
        stack.add(name, command_of(name, image, {"8000": web, "8001": ingest}), ready=ready).cwd = image
    nginx = ["nginx", "-c", str(configuration), "-g", "daemon off;"]
    stack.add("proxy", nginx, ready=lambda _: (folder / "nginx.pid").exists())
    with running(stack, "web", "ingest", "pool", "worker", "proxy"):
        try_proxy(Browser(https_port, certificate), folder)
    say("SIGTERM ends every process cleanly")
    return environment


def try_proxy(browser: Browser, folder: Path) -> None:
    """What the world may and may not do at the proxy."""
    expect(browser.ask("GET", "/healthz")[0], 200, "over TLS the product answers")
    expect(browser.ask("GET", "/webhook/yclients")[0], 200, "YClients' probe of the webhook address")
    expect(browser.ask("POST", "/webhook/yclients", b"x" * 1_200_000)[0], 413, "a webhook of more than 1 MB")
    expect(browser.ask("POST", "/yclients/messages/", b"x" * 5_000_000)[0], 413, "more than 4 MB of messages")
    expect(browser.ask("POST", "/marketplace/activate", b"x" * 500_000)[0], 413, "a large body elsewhere")
    expect(browser.ask("GET", "/metrics")[0], 404, "metrics are not for the world")
    expect(browser.ask("GET", "/marketplace/onboarding?token=sec.ret.token")[0], 401, "a bad token")
    browser.ask("POST", "/webhook/yclients/very-secret-part", b"{}")
    log = (folder / "access.log").read_text()
    if "sec.ret" in log or "very-secret" in log:
        raise SystemExit("the proxy's log holds a secret")
    say("the proxy's log holds neither tokens nor webhook secrets")


def expect(got: int, wanted: int, what: str) -> None:
    """End the rehearsal when the status is another one."""
    if got != wanted:
        raise SystemExit(f"{what}: {got}, not {wanted}")
    say(f"{what}: {got}")


def rehearse_backup(folder: Path, postgres: Postgres, environment: dict[str, str]) -> None:
    """Back up, restore into an empty database, refuse to restore over data."""
    run(sys.executable, "manage.py", "shell", "-c", MAKE_ROWS, environment=environment)
    live = environment["DATABASE_URL"]
    backup = (
        run(str(DEPLOY / "backup"), str(folder / "backups"), environment=environment).strip().splitlines()[-1]
    )
    restored = {**environment, "DATABASE_URL": postgres.create_database("restored"), "PYTHON": sys.executable}
    run(str(DEPLOY / "restore"), backup, environment=restored)
    tables = "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY 1"
    for (table,) in rows_of(live, tables):
        counted = f'SELECT count(*) FROM "{table}"'  # noqa: S608  our own table's name
        if rows_of(live, counted) != rows_of(restored["DATABASE_URL"], counted):
            raise SystemExit(f"{table} differs after the restore")
    say("backup restored into an empty database: every table has its rows, every encrypted value is readable")
    again = subprocess.run(
        [str(DEPLOY / "restore"), backup], cwd=ROOT, env=restored, capture_output=True, text=True, check=False
    )
    if again.returncode == 0 or "not empty" not in again.stderr:
        raise SystemExit("a restore over existing data was not refused")
    say("a restore over existing data is refused")


def rehearse_alerts() -> None:
    """promtool on the alert rules, where it is installed."""
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not promtool:
        sys.stdout.write("--  promtool is not on this machine: alert rules not tested\n")
        return
    run(promtool, "check", "rules", "alerts.yml", cwd=DEPLOY / "prometheus")
    run(promtool, "test", "rules", "alerts_test.yml", cwd=DEPLOY / "prometheus")
    say("promtool: alert rules are valid and fire as their tests say")


def main() -> None:
    """Everything, in order; the first failure ends it."""
    folder = temporary_folder("deploy-rehearsal")
    with start_postgres() as postgres, start_redis() as redis:
        environment = rehearse_processes(folder, postgres, redis.url)
        rehearse_backup(folder, postgres, environment)
    rehearse_alerts()


if __name__ == "__main__":
    main()

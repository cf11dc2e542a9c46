"""Senders of huge, endless and slow requests to our servers are cut off; their memory stays what it was."""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environment import SECRETS, clean_environment
from tests.processes import Process, answers
from tests.server import free_port

# As `daphne config.asgi:application` and `uvicorn config.ingest:application`, with less patience.
DAPHNE = """
import sys
from daphne.cli import CommandLineInterface
from config import daphne_server
daphne_server.REQUEST_SECONDS = 1.0
daphne_server.UPLOAD_SECONDS = 2.5
CommandLineInterface().run(["config.asgi:application", "-b", "127.0.0.1", "-p", sys.argv[1]])
"""
UVICORN = """
import sys
import uvicorn
from config import ingest
ingest.BODY_SECONDS = 1.0
uvicorn.run(ingest.application, port=int(sys.argv[1]), access_log=False, log_level="warning")
"""
PROBE_ANSWER = b'{"success": true}'
HUGE = 200 * 1024 * 1024
WEBHOOK = b"POST /webhook/yclients HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class Server:
    """A running server without a database: what is measured here never gets that far."""

    def __init__(self, process: Process, port: int) -> None:
        self.process, self.port = process, port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def memory(self) -> int:
        """Resident bytes at most so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [peak] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(peak.split()[1]) * 1024


@pytest.fixture(scope="module")
def daphne(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one that strangers reach without a proxy before it."""
    yield from running(DAPHNE, tmp_path_factory.mktemp("daphne"))


@pytest.fixture(scope="module")
def uvicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one of the ingest process."""
    yield from running(UVICORN, tmp_path_factory.mktemp("uvicorn"))


@pytest.fixture(params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of them in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


def running(code: str, folder: Path) -> Iterator[Server]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **clean_environment(),
        **SECRETS,
        "DEBUG": "false",
        "BASE_URL": url,
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "DATA_DIR": str(folder),
        "WHATSAPP_ENGINE": "simulated",
        "YCLIENTS_API_URL": "http://127.0.0.1:9",
    }
    process = Process(
        "server",
        [sys.executable, "-c", code, str(port)],
        environment=environment,
        log=folder / "server.log",
        ready=lambda _process: answers(f"{url}/webhook/yclients"),
    )
    process.start()
    yield Server(process, port)
    process.terminate()


def reply(connection: socket.socket) -> bytes:
    """All that the server sends until it hangs up."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def send_until_cut(connection: socket.socket, piece: bytes, most: int) -> int:
    """Send pieces until the server does not take them any more; return how many bytes it took."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


def test_a_length_of_200_mb_is_refused_before_the_body_is_sent(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(WEBHOOK + f"Content-Length: {HUGE}\r\n\r\n".encode())
        assert reply(connection).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_sender_of_200_mb_is_cut_off_and_costs_no_memory(server: Server, framing: str) -> None:
    before = server.memory()
    piece = b"x" * 1024 * 1024
    header = f"Content-Length: {HUGE}" if framing == "length" else "Transfer-Encoding: chunked"
    if framing == "chunked":
        piece = b"%x\r\n%s\r\n" % (len(piece), piece)
    with server.connect() as connection:
        connection.sendall(WEBHOOK + header.encode() + b"\r\n\r\n")
        send_until_cut(connection, piece, HUGE)
        reply(connection)
    assert server.memory() - before < 20 * 1024 * 1024


def test_a_little_more_than_allowed_is_refused_in_words(server: Server) -> None:
    with server.connect() as connection:
        piece = b"x" * (1024 * 1024 + 1)
        connection.sendall(WEBHOOK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(piece) + piece)
        assert reply(connection).startswith(b"HTTP/1.1 413 ")


def upload(path: bytes, length: int, method: bytes = b"POST") -> bytes:
    """The head of a request that brings so many bytes; without a key or a session."""
    return (
        method + b" " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"X-Forwarded-Proto: https\r\nContent-Length: %d\r\n\r\n" % length
    )


@pytest.mark.parametrize(
    "path", [b"/api/v1/messages", b"/cabinet/307626/replies/1/answer", b"/cabinet/1/texts/created/picture"]
)
def test_only_where_files_are_uploaded_a_body_may_be_a_file_long(daphne: Server, path: bytes) -> None:
    body = b"x" * (15 * 1024 * 1024)
    with daphne.connect() as connection:
        connection.sendall(upload(path, len(body)) + body)
        answer = reply(connection)
    assert answer[9:12] not in (b"413", b"408"), answer[:200]
    for other in (upload(path + b"/x", len(body)), upload(path, len(body), b"PUT"), upload(path, 18 << 20)):
        with daphne.connect() as connection:
            connection.sendall(other)
            assert reply(connection).startswith(b"HTTP/1.1 413 ")


def test_an_upload_that_trickles_is_cut_off_too(daphne: Server) -> None:
    with daphne.connect() as connection:
        answer = trickle(connection, upload(b"/api/v1/messages", 1_000_000))
        assert answer.startswith(b"HTTP/1.1 408 ")


def trickle(connection: socket.socket, beginning: bytes) -> bytes:
    """Send a byte now and then; return the answer."""
    connection.sendall(beginning)
    connection.settimeout(0.1)
    ends = time.monotonic() + 60
    received = b""
    while not received:
        assert time.monotonic() < ends, "the server went on waiting"
        try:
            connection.sendall(b"x")
            received = connection.recv(65536)
        except TimeoutError:
            continue
    return received


def test_a_body_that_trickles_is_cut_off(server: Server) -> None:
    with server.connect() as connection:
        answer = trickle(connection, WEBHOOK + b"Content-Length: 1000\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("beginning", [b"", b"POST /webhook", WEBHOOK + b"X-Long: "])
def test_a_header_that_trickles_is_cut_off(daphne: Server, beginning: bytes) -> None:
    with daphne.connect() as connection:
        assert trickle(connection, beginning).startswith(b"HTTP/1.1 408 ")


def one_reply(connection: socket.socket) -> bytes:
    """The probe's answer on a connection that stays open; its head and its body may come apart."""
    received = b""
    while not received.endswith(PROBE_ANSWER):
        part = connection.recv(65536)
        assert part, received
        received += part
    return received


def test_a_kept_connection_may_rest_between_requests_longer_than_one_may_take(server: Server) -> None:
    probe = b"GET /webhook/yclients HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(probe)
        assert one_reply(connection).startswith(b"HTTP/1.1 200 ")
        time.sleep(1.5)  # no condition to wait for: nothing may happen
        connection.sendall(probe)
        assert one_reply(connection).startswith(b"HTTP/1.1 200 ")


def test_neither_addresses_nor_queries_are_logged_by_the_server(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"GET /webhook/yclients/SomeSecret_1?token=abc HTTP/1.1\r\n"
            b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        assert reply(connection).startswith(b"HTTP/1.1 200 ")
    log = server.process.log_text()
    assert "SomeSecret_1" not in log
    assert "token=abc" not in log

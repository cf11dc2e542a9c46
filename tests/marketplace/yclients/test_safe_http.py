"""Posting to addresses that strangers choose: only YClients, only at the IP address that was checked."""

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from marketplace.yclients import safe_http
from marketplace.yclients.safe_http import AddressRefused, Unreachable
from tests.marketplace.listener import Listener

REAL = "https://api.yclients.com"
SECRET_PATH = "/api/v1/sms/delivery/very-secret-token"


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.close()


@pytest.fixture
def real_hosts(settings: Any) -> None:
    settings.YCLIENTS_API_URL = REAL


# --- Which addresses ------------------------------------------------------------------------------


@pytest.mark.usefixtures("real_hosts")
@pytest.mark.parametrize(
    "url",
    [
        "https://api.yclients.com/x",
        "https://API.YClients.COM/x",
        "https://yclients.com",
        "https://n123.alteg.io/x?y=1",
        "https://api.yclients.com:443/x",
        "https://a.b.c.alteg.io/",
    ],
)
def test_addresses_of_the_platform_are_allowed(url: str) -> None:
    assert safe_http.check(url).port == 443


@pytest.mark.usefixtures("real_hosts")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "yclients.com",
        "//api.yclients.com/x",
        "http://api.yclients.com/x",
        "ftp://api.yclients.com/x",
        "file:///etc/passwd",
        "gopher://api.yclients.com/",
        "https://",
        "https:///x",
        "https://evil.example/x",
        "https://yclients.com.evil.example/",
        "https://notyclients.com/",
        "https://evil.example/yclients.com",
        "https://evil.example#.yclients.com",
        "https://evil.example?.yclients.com",
        "https://evil.example\\.yclients.com/",
        "https://api.yclients.com\\@evil.example/",
        "https://api.yclients.com@evil.example/",
        "https://user:word@api.yclients.com/",
        "https://evil.example%2f.yclients.com/",
        "https://api.yclients.com./x",
        "https://.yclients.com/x",
        "https://api.yclients.com:8443/x",
        "https://api.yclients.com:80/x",
        "https://api.yclients.com:/x",
        "https://api.yclients.com:99999/x",
        "https://api.yclients.com:0/x",
        "https://api.yclients.com:443:443/x",
        "https://127.0.0.1/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[fe80::1%25eth0]/x",
        "https://[api.yclients.com]/x",
        "https://аpi.yclients.com/x",
        "https://yсlients.com/x",
        "https://api.yclients。com/x",
        "https://ⓨclients.com/x",
        "https://xn--ycients-ksb.com/x",
        "https://api.yclients.com/\r\nHost: evil.example",
        "https://api.yclients.com/a b",
        " https://api.yclients.com/x",
        "https://api.yclients.com/x\x00",
        "https://api.yclients.com/" + "x" * 2000,
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        safe_http.check(url)
    assert "evil" not in str(refused.value)


def test_the_host_of_the_settings_is_allowed_with_its_own_scheme_and_port(settings: Any) -> None:
    settings.YCLIENTS_API_URL = "http://127.0.0.1:8081"
    assert safe_http.check("http://127.0.0.1:8081/x").own_network
    for other in ("http://127.0.0.1:8082/x", "http://127.0.0.1/x", "https://127.0.0.1:8081/x"):
        with pytest.raises(AddressRefused):
            safe_http.check(other)


def test_an_ipv6_host_of_the_settings_is_allowed(settings: Any) -> None:
    settings.YCLIENTS_API_URL = "http://[::1]:8081"
    assert safe_http.check("http://[::1]:8081/x").host == "[::1]"


@pytest.mark.usefixtures("real_hosts")
def test_a_platform_host_may_not_be_private_even_when_the_settings_name_it() -> None:
    assert not safe_http.check(f"{REAL}/x").own_network


# --- Where names lead -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.5.4", "192.168.1.1", "127.0.0.1", "127.8.8.8", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "192.0.0.1", "198.18.0.1",  # noqa: S104
        "192.0.2.1", "192.88.99.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1",
        "ff02::1", "ff0e::1", "::ffff:8.8.8.8", "::ffff:10.0.0.1", "::8.8.8.8", "64:ff9b::808:808",
        "64:ff9b:1::1", "2002:0a00:0001::1", "2002:808:808::1", "2001::1", "2001:db8::1", "3fff::1",
        "5f00::1", "100::1", "not an address", "",
        "192.0.0.9",
        "192.0.0.170",
    ],
)  # fmt: skip
def test_private_and_special_addresses_are_not_public(address: str) -> None:
    assert not safe_http.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "178.248.233.6", "2606:4700::6810:84e5", "2a00:1450::1"])
def test_addresses_of_the_open_internet_are_public(address: str) -> None:
    assert safe_http.is_public(address)


@pytest.mark.usefixtures("real_hosts")
@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]])
def test_a_name_that_leads_into_a_private_network_is_refused_before_any_connection(
    found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_arguments: Any, **_named: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "socket", never)
    with pytest.raises(AddressRefused):
        safe_http.post(f"{REAL}{SECRET_PATH}", b"[]", resolve=lambda _host, _port: found)


@pytest.mark.usefixtures("real_hosts")
def test_a_name_without_an_address_is_unreachable() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror("unknown")

    answers: list[safe_http.Resolve] = [unknown, lambda _host, _port: []]
    for resolve in answers:
        with pytest.raises(Unreachable) as error:
            safe_http.post(f"{REAL}{SECRET_PATH}", b"[]", resolve=resolve)
        assert "secret" not in str(error.value)


# --- One connection to the checked address --------------------------------------------------------


def certificate_for(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for `name`, and a client's that trusts it alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = folder / f"{name}.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *plain) + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())


@contextmanager
def https_listener(name: str, folder: Path) -> Iterator[tuple[Listener, ssl.SSLContext, list[str | None]]]:
    """An HTTPS server for `name`, the context that trusts it, and the names that clients asked for (SNI)."""
    server_context, trusted = certificate_for(name, folder)
    asked: list[str | None] = []
    server_context.sni_callback = lambda _socket, said, _context: asked.append(said)
    server = Listener(server_context)
    try:
        yield server, trusted, asked
    finally:
        server.close()


def test_the_connection_goes_to_the_checked_address_under_the_real_name(
    settings: Any, tmp_path: Path
) -> None:
    answers = [["127.0.0.1"], ["10.9.9.9"]]  # a name that leads elsewhere when asked again
    questions: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        questions.append(host)
        return answers.pop(0)

    with https_listener("yclients.test", tmp_path) as (server, trusted, asked):
        settings.YCLIENTS_API_URL = f"https://yclients.test:{server.port}"
        url = f"{settings.YCLIENTS_API_URL}{SECRET_PATH}?a=1"
        answer = safe_http.post(url, b'[{"id": "1"}]', resolve=rebinding, trusted=trusted)
    path, headers, body = server.got[0]
    assert (answer.status, questions, asked) == (200, ["yclients.test"], ["yclients.test"])
    assert (path, body) == (f"{SECRET_PATH}?a=1", b'[{"id": "1"}]')
    assert headers["Host"] == f"yclients.test:{server.port}"
    assert headers["Content-Type"] == "application/json"


def test_a_certificate_for_another_name_is_not_accepted(settings: Any, tmp_path: Path) -> None:
    with https_listener("evil.test", tmp_path) as (server, trusted, _asked):
        settings.YCLIENTS_API_URL = f"https://yclients.test:{server.port}"
        with pytest.raises(Unreachable):
            safe_http.post(
                f"{settings.YCLIENTS_API_URL}/x", b"[]", resolve=lambda *_: ["127.0.0.1"], trusted=trusted
            )
    assert server.got == []


def test_a_certificate_of_an_unknown_authority_is_not_accepted(settings: Any, tmp_path: Path) -> None:
    with https_listener("yclients.test", tmp_path) as (server, _trusted, _asked):
        settings.YCLIENTS_API_URL = f"https://yclients.test:{server.port}"
        with pytest.raises(Unreachable):
            safe_http.post(f"{settings.YCLIENTS_API_URL}/x", b"[]", resolve=lambda *_: ["127.0.0.1"])
    assert server.got == []


def test_a_redirect_is_not_followed(settings: Any, listener: Listener) -> None:
    elsewhere = Listener()
    settings.YCLIENTS_API_URL = listener.url
    listener.status, listener.headers = 307, {"Location": f"{elsewhere.url}/stolen"}
    assert safe_http.post(f"{listener.url}/x", b"[]").status == 307
    assert (len(listener.got), elsewhere.got) == (1, [])
    elsewhere.close()


def test_proxies_of_the_environment_are_not_used(
    settings: Any, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Listener()
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    settings.YCLIENTS_API_URL = listener.url
    assert safe_http.post(f"{listener.url}/x", b"[]").status == 200
    assert (len(listener.got), proxy.got) == (1, [])
    proxy.close()


def test_an_endless_answer_is_not_read_to_its_end(settings: Any, listener: Listener) -> None:
    settings.YCLIENTS_API_URL = listener.url
    listener.body = b"x" * 5_000_000
    assert safe_http.post(f"{listener.url}/x", b"[]").status == 200


def test_a_silent_or_trickling_server_is_left(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def trickle(server: socket.socket) -> None:
        line, _peer = server.accept()
        with line:
            while not stop.wait(0.05):
                try:
                    line.sendall(b"H")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=trickle, args=[server], daemon=True).start()
        settings.YCLIENTS_API_URL = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(safe_http, "TOTAL_TIMEOUT", 0.3)
        with pytest.raises(Unreachable):
            safe_http.post(f"{settings.YCLIENTS_API_URL}/x", b"[]")
        stop.set()


def test_the_next_checked_address_is_tried_and_a_closed_port_is_unreachable(
    settings: Any, listener: Listener
) -> None:
    settings.YCLIENTS_API_URL = f"http://yclients.test:{listener.port}"
    found = ["127.0.0.2", "127.0.0.1"]
    assert safe_http.post(f"{settings.YCLIENTS_API_URL}/x", b"[]", resolve=lambda *_: found).status == 200
    with pytest.raises(Unreachable):
        safe_http.post(f"{settings.YCLIENTS_API_URL}/x", b"[]", resolve=lambda *_: ["127.0.0.2"])


def test_the_wish_to_wait_is_read(settings: Any, listener: Listener) -> None:
    settings.YCLIENTS_API_URL = listener.url
    listener.status, listener.headers = 429, {"Retry-After": "17"}
    assert safe_http.post(f"{listener.url}/x", b"[]") == safe_http.Answer(429, 17.0)

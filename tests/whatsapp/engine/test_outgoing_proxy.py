"""Hosts that reach WhatsApp through a proxy with a password."""

import logging
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.whatsapp import SandboxWhatsApp, tls
from tests.connect_proxy import ConnectProxy
from tests.socks_proxy import SocksProxy
from whatsapp.engine.events import ConnectFailed, QrCode
from whatsapp.engine.supervisor.scrub import scrub

from .engines import RealHarness

SESSION = str(uuid.UUID(int=1))
PASSWORD = "pa55-w0rd"


@pytest.fixture
async def proxy(sandbox: SandboxWhatsApp) -> AsyncIterator[ConnectProxy]:
    async with ConnectProxy(sandbox.proxy_url, user="salon", password=PASSWORD) as proxy:
        yield proxy


async def test_a_session_is_linked_through_the_proxy(
    sandbox: SandboxWhatsApp, proxy: ConnectProxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    harness = RealHarness(tmp_path, sandbox, proxy_url=f"http://salon:{PASSWORD}@{proxy.host}")
    try:
        await harness.link(SESSION)
        assert proxy.tunnels >= 3  # the attempt, the return after the scan, the shard
        assert not proxy.refused
        shown = {(info.proxy, info.proxy_works) for info in harness.engine.hosts()}
        assert shown == {(proxy.host, True)}
        assert PASSWORD not in caplog.text + repr(harness.engine.hosts()) + repr(harness.engine._settings)
    finally:
        await harness.close()


async def test_a_proxy_that_refuses_the_password_is_named_without_it(
    sandbox: SandboxWhatsApp, proxy: ConnectProxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    harness = RealHarness(
        tmp_path, sandbox, proxy_url=f"http://salon:wr0ng-word@{proxy.host}", spare_hosts=1, start_timeout=5.0
    )
    try:
        await harness.engine.start(SESSION, harness.store(SESSION), pairing=True)
        failed = await harness.recorder.next(ConnectFailed, SESSION)
        assert not failed.permanent
        assert proxy.refused and not proxy.tunnels
        assert harness.recorder.count(QrCode) == 0
        shown = {(info.proxy, info.proxy_works) for info in harness.engine.hosts()}
        assert shown == {(proxy.host, False)}
        assert "wr0ng-word" not in caplog.text + failed.reason
    finally:
        await harness.close()


async def test_a_socks_proxy_is_used_too(sandbox: SandboxWhatsApp, tmp_path: Path) -> None:
    async with SocksProxy(sandbox.proxy_url, user="salon", password=PASSWORD) as proxy:
        harness = RealHarness(tmp_path, sandbox, proxy_url=f"socks5://salon:{PASSWORD}@{proxy.host}")
        try:
            await harness.engine.start(SESSION, harness.store(SESSION), pairing=True)
            await harness.recorder.next(QrCode, SESSION)
            assert proxy.tunnels
            assert {(info.proxy, info.proxy_works) for info in harness.engine.hosts()} == {(proxy.host, True)}
        finally:
            await harness.close()


def trusted(file: Path, authority: Path, further: str) -> Path:
    """Write a file with both authorities."""
    file.write_text(authority.read_text() + further)
    return file


async def test_a_proxy_behind_tls_is_used_too(sandbox: SandboxWhatsApp, tmp_path: Path) -> None:
    certificate, key = tls.new_authority()
    authorities = trusted(tmp_path / "authorities.pem", Path(sandbox.ca_file), certificate)
    encrypted = tls.server_context(certificate, key)
    async with ConnectProxy(sandbox.proxy_url, user="salon", password=PASSWORD, tls=encrypted) as proxy:
        url = f"https://salon:{PASSWORD}@{proxy.host}"
        harness = RealHarness(tmp_path, sandbox, proxy_url=url, ca_file=str(authorities))
        try:
            await harness.engine.start(SESSION, harness.store(SESSION), pairing=True)
            await harness.recorder.next(QrCode, SESSION)
            assert proxy.tunnels
        finally:
            await harness.close()


def test_a_login_in_an_address_is_scrubbed() -> None:
    assert scrub(f"dial http://salon:{PASSWORD}@proxy:3128 failed") == "dial http://[login]@proxy:3128 failed"

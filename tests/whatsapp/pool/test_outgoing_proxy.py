"""Which proxy the settings give to the engine's hosts."""

import pytest
from pytest_django import Settings

from whatsapp.engine.supervisor.launch import fork_server_command, host_environment
from whatsapp.pool.processes import engine_settings

PROXY, TEST_SERVER = "http://salon:pa55@proxy.example.com:3128", "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("outgoing", "test_server", "given"),
    [(PROXY, "", PROXY), (PROXY, TEST_SERVER, TEST_SERVER), ("", TEST_SERVER, TEST_SERVER), ("", "", None)],
)
def test_a_test_servers_proxy_goes_before_the_outgoing_one(
    settings: Settings, outgoing: str, test_server: str, given: str | None
) -> None:
    settings.WHATSAPP_OUTGOING_PROXY, settings.WHATSAPP_PROXY_URL = outgoing, test_server
    assert host_environment(engine_settings(lock=1)).get("HTTPS_PROXY") == given


def test_the_password_is_in_no_command_line(settings: Settings) -> None:
    settings.WHATSAPP_OUTGOING_PROXY, settings.WHATSAPP_PROXY_URL = PROXY, ""
    assert "pa55" not in " ".join(fork_server_command(engine_settings(lock=1), 1))

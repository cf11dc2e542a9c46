"""How the fork server is started: its environment, which its hosts inherit, and its command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from whatsapp.engine import EngineSettings

PACKAGE_ROOT = Path(__file__).resolve().parents[3]
# The host needs none of our secrets, so it inherits nothing but these.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


def host_environment(settings: EngineSettings) -> dict[str, str]:
    """The child's environment. Go reads the proxy and the CA file once, so they must be here before exec."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment["PYTHONUNBUFFERED"] = "1"
    # Else the library marks every private message as written by a bot.
    environment["NEONIZE_BOT_TAG"] = "off"
    if settings.proxy_url is not None:
        environment["HTTPS_PROXY"] = settings.proxy_url
    if settings.ca_file is not None:
        environment["SSL_CERT_FILE"] = settings.ca_file
    return environment


def fork_server_command(settings: EngineSettings, fd: int) -> list[str]:
    """The command line of a fork server that is asked for hosts on the inherited descriptor `fd`."""
    command = [sys.executable, "-m", "whatsapp.engine.host", "--fd", str(fd), "--parent", str(os.getpid())]
    command += ["--device-name", settings.device_name, "--log-level", settings.log_level]
    command += ["--silence", str(settings.silence), "--upload-timeout", str(settings.upload_timeout)]
    if settings.sandbox:
        command.append("--sandbox")
    if settings.noise_root is not None:
        command += ["--noise-root", settings.noise_root]
    return command

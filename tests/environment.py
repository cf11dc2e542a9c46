"""The environment variables that tests give to the product; the shell's own never reach it."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTNER_TOKEN = "test-partner-token-6f1c0a"
APPLICATION_ID = 4242
SECRETS = {
    "SECRET_KEY": "test-key-2c5f1b7e9d8a4063b1e7f0c2d94a6835",
    "FIELD_ENCRYPTION_KEYS": "dGVzdC1rZXktb2YtdGhlLXRlc3QtZmllbGRzLTAxMjM=",
}


def variable_names() -> set[str]:
    """Every variable that config/settings.py reads."""
    return set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "config" / "settings.py").read_text()))


def clean_environment() -> dict[str, str]:
    """The shell's environment without anything that would change the product."""
    ours = variable_names() | {"DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def unit_environment(*, database_url: str, redis_url: str, data_dir: Path) -> dict[str, str]:
    """A production-like process (`DEBUG` off) with the simulated WhatsApp and an unreachable YClients."""
    return {
        **SECRETS,
        "DEBUG": "false",
        "BASE_URL": "http://testserver",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DATA_DIR": str(data_dir),
        "YCLIENTS_PARTNER_TOKEN": PARTNER_TOKEN,
        "YCLIENTS_APPLICATION_ID": str(APPLICATION_ID),
        # Port 9 (discard) answers nobody: a test that forgot to start a server fails at once.
        "YCLIENTS_API_URL": "http://127.0.0.1:9",
        "WHATSAPP_ENGINE": "simulated",
        # Tests of the pages sign staff in at once; those of the sign-in turn it on.
        "STAFF_TOTP_REQUIRED": "false",
        "LOG_LEVEL": "INFO",
        "ARRIVALS_PER_MINUTE": "100000",  # tests of one minute share their address
    }

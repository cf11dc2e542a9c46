"""What an operator is told who starts the product with missing or contradicting settings."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from config import checks
from config.checks import TAG
from tests.environment import ROOT, SECRETS, clean_environment
from tests.forked_processes import run_forked
from tests.processes import run_executed

PRODUCTION = {
    **SECRETS,
    "DEBUG": "false",
    "BASE_URL": "https://wa.example.com",
    "DATABASE_URL": "postgres://wa:pa55word@127.0.0.1:9/wa",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "YCLIENTS_PARTNER_TOKEN": "2t6u73mrh85btb8wgyfj",
    "YCLIENTS_APPLICATION_ID": "4242",
}
SANDBOX = {"WHATSAPP_SANDBOX": "true", "YCLIENTS_API_URL": "http://127.0.0.1:8001"}
ROOT_KEY = "ab" * 32


def start(command: list[str], data_dir: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with these variables and nothing of the shell's own that would change the product."""
    environment = {**clean_environment(), "DATA_DIR": str(data_dir), **variables}
    return run_forked([sys.executable, *command], environment=environment)


def check(data_dir: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return start(["manage.py", "check"], data_dir, **variables)


def test_with_nothing_set_the_embedded_default_starts(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr
    kept = tmp_path / "embedded-secrets.json"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_complete_production_starts_without_a_word(tmp_path: Path) -> None:
    environment = {**clean_environment(), "DATA_DIR": str(tmp_path), **PRODUCTION}
    done = run_executed([sys.executable, "manage.py", "check"], environment=environment, seconds=110)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "embedded-secrets.json").exists()


def test_a_bad_production_does_not_start_and_every_fault_is_named(tmp_path: Path) -> None:
    faults = {
        "SECRET_KEY": "tooshort-5a2b",
        "FIELD_ENCRYPTION_KEYS": "half-a-key-9d1f",
        "YCLIENTS_PARTNER_TOKEN": "test_token_waiting_for_real",
        "WHATSAPP_SANDBOX": "true",
        "WHATSAPP_NOISE_ROOT": "nonsense",
        "WHATSAPP_ENGINE": "pigeon",
        "YCLIENTS_ACTIVATION_ENDPOINT": "elsewhere",
        "POOL_CAPACITY": "0",
        "TRUSTED_PROXIES": "-1",
    }
    done = check(tmp_path, **{**PRODUCTION, **faults})
    assert done.returncode != 0
    said = set(re.findall(r"startup\.\w+", done.stderr))
    expected = ("E001", "E003", "E004", "E006", "E008", "E009", "E010", "E011", "W001")
    assert said == {f"startup.{each}" for each in expected}
    assert "YCLIENTS_PARTNER_TOKEN is a placeholder" in done.stderr
    for secret in ("half-a-key-9d1f", "tooshort-5a2b", "pa55word"):
        assert secret not in done.stdout + done.stderr


def test_a_production_without_anything_does_not_start(tmp_path: Path) -> None:
    done = check(tmp_path, DEBUG="false")
    assert done.returncode != 0
    assert set(re.findall(r"startup\.\w+", done.stderr)) == {
        "startup.E001", "startup.E002", "startup.W001", "startup.W002",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["YCLIENTS_APPLICATION_ID", "TRUSTED_PROXIES"])
def test_a_value_of_the_wrong_kind_is_named(name: str, tmp_path: Path) -> None:
    done = check(tmp_path, **{**PRODUCTION, name: "many"})
    assert done.returncode != 0
    assert name in done.stderr


REAL = "https://api.yclients.com"
AT_THE_REAL = {"YCLIENTS_API_URL": REAL, "YCLIENTS_MARKETPLACE_URL": f"{REAL}/marketplace"}
ELSEWHERE = {"YCLIENTS_API_URL": "http://t:1", "YCLIENTS_MARKETPLACE_URL": "http://t:1/marketplace"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, set()),
        ({"SECRET_KEY_GIVEN": ""}, {"E001"}),
        ({"SECRET_KEY_GIVEN": "django-insecure-" + "x" * 50}, {"E001"}),
        ({"SECRET_KEY_GIVEN": "change-me-" + "x" * 50}, {"E001"}),
        ({"SECRET_KEY_GIVEN": "", "DEBUG": True}, set()),
        ({"FIELD_ENCRYPTION_KEYS": []}, {"E002"}),
        ({"FIELD_ENCRYPTION_KEYS": [SECRETS["FIELD_ENCRYPTION_KEYS"], "ключ"]}, {"E003"}),
        ({"YCLIENTS_PARTNER_TOKEN": ""}, {"W001"}),
        ({"YCLIENTS_APPLICATION_ID": 0}, {"W002"}),
        ({"REDIS_URL": "", "SQLITE": False}, {"W003"}),
        ({**AT_THE_REAL, "WHATSAPP_SANDBOX": True}, {"E004"}),
        ({**ELSEWHERE, "YCLIENTS_API_URL": "https://YCLIENTS.com:443", "WHATSAPP_SANDBOX": True}, {"E004"}),
        ({**ELSEWHERE, "YCLIENTS_MARKETPLACE_URL": f"{REAL}/x", "WHATSAPP_SANDBOX": True}, {"E004"}),
        ({**ELSEWHERE, "YCLIENTS_API_URL": "https://api.alteg.io", "WHATSAPP_SANDBOX": True}, {"E004"}),
        ({**ELSEWHERE, "WHATSAPP_SANDBOX": True}, set()),
        ({"WHATSAPP_PROXY_URL": "http://t:1"}, {"E005"}),
        ({"WHATSAPP_CA_FILE": "/etc/ca.pem"}, {"E005"}),
        ({"WHATSAPP_NOISE_ROOT": ROOT_KEY}, {"E005"}),
        ({**ELSEWHERE, "WHATSAPP_SANDBOX": True, "WHATSAPP_NOISE_ROOT": "ab"}, {"E010"}),
        ({**AT_THE_REAL, "WHATSAPP_ENGINE": "simulated"}, {"E007"}),
        ({**ELSEWHERE, "WHATSAPP_ENGINE": "simulated"}, set()),
        ({**AT_THE_REAL, "WHATSAPP_ENGINE": "simulated", "DEBUG": True}, set()),
        ({"POOL_LEASE_SECONDS": 0}, {"E009"}),
        ({"WHATSAPP_OUTGOING_PROXY": "https://u:p@proxy.example.com:3128"}, set()),
        ({"WHATSAPP_OUTGOING_PROXY": "http://proxy.example.com:3128"}, set()),
        ({"WHATSAPP_OUTGOING_PROXY": "socks5://u:p@127.0.0.1:1080"}, set()),
        ({"WHATSAPP_OUTGOING_PROXY": "http://u:p@[::1]:3128/"}, set()),
        ({"WHATSAPP_OUTGOING_PROXY": "http://u:p@proxy.example.com:3128"}, {"W004"}),
        ({"WHATSAPP_OUTGOING_PROXY": "socks5://u:p@10.0.0.5:1080"}, {"W004"}),
        ({"WHATSAPP_OUTGOING_PROXY": "proxy.example.com:3128"}, {"E013"}),
        ({"WHATSAPP_OUTGOING_PROXY": "ftp://proxy.example.com"}, {"E013"}),
        ({"WHATSAPP_OUTGOING_PROXY": "http://u:p@"}, {"E013"}),
        ({"WHATSAPP_OUTGOING_PROXY": "http://proxy.example.com:99999"}, {"E013"}),
        ({"WHATSAPP_OUTGOING_PROXY": "http://u:a/b@proxy.example.com:3128"}, {"E013"}),
        ({"WHATSAPP_OUTGOING_PROXY": "http://proxy.example.com\n:1"}, {"E013"}),
    ],
)  # fmt: skip
def test_each_fault_is_told_apart(changes: dict[str, Any], said: set[str], settings: Settings) -> None:
    sound = {"WHATSAPP_ENGINE": "neonize", "REDIS_URL": "redis://t:1", **AT_THE_REAL}
    for name, value in {**sound, **changes}.items():
        setattr(settings, name, value)
    assert {str(each.id).removeprefix("startup.") for each in run_checks(tags=[TAG])} == said


def postgres(**options: Any) -> dict[str, Any]:
    host = options.pop("host", "db.example.com")
    return {"SQLITE": False, "DATABASES": {"default": {"HOST": host, "OPTIONS": options}}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, set()),
        ({"JWT_SECRET": "x" * 31}, {"E001"}),
        ({"JWT_SECRET": "x" * 32}, set()),
        (postgres(), {"E002"}),
        (postgres(sslmode="prefer"), {"E002"}),
        (postgres(sslmode="require"), set()),
        (postgres(sslmode="verify-full"), set()),
        (postgres(host="127.0.0.1"), set()),
        (postgres(host="/run/postgresql"), set()),
        (postgres(host="10.0.0.5"), {"E002"}),
        (postgres(host="db"), {"W002"}),
        ({"REDIS_URL": "redis://redis:6379/0"}, {"W003"}),
        ({"REDIS_URL": "redis://:pw@redis.example.com:6379/0"}, {"E003"}),
        ({"REDIS_URL": "rediss://:pw@redis.example.com:6379/0"}, set()),
        ({"REDIS_URL": "redis://[::1]:6379/0"}, set()),
        ({"REDIS_URL": ""}, set()),
        ({"STAFF_TOTP_REQUIRED": False}, {"W001"}),
    ],
)
def test_what_a_deployment_lacks_is_told(
    changes: dict[str, Any], said: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = {**postgres(host="localhost"), "REDIS_URL": "redis://127.0.0.1:6379/0", "JWT_SECRET": "x" * 40}
    sound["STAFF_TOTP_REQUIRED"] = True
    monkeypatch.setattr(checks, "settings", SimpleNamespace(**{**sound, **changes}))
    assert {str(each.id).removeprefix("deploy.") for each in checks.check_deployment()} == said


def test_check_deploy_fails_for_a_short_jwt_secret(tmp_path: Path) -> None:
    short = {**PRODUCTION, "JWT_SECRET": "short-word-7c"}
    done = start(["manage.py", "check", "--deploy"], tmp_path, **short)
    assert done.returncode != 0
    assert "deploy.E001" in done.stderr
    assert "short-word-7c" not in done.stderr


def test_what_the_databases_address_says_of_postgresqls_patience_wins(tmp_path: Path) -> None:
    address = PRODUCTION["DATABASE_URL"] + "?options=-c%20idle_in_transaction_session_timeout%3D5s"
    words = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS']['options'])"
    done = start(["manage.py", "shell", "-c", words], tmp_path, **{**PRODUCTION, "DATABASE_URL": address})
    assert "-c idle_in_transaction_session_timeout=20s " in done.stdout, done.stderr
    assert done.stdout.rstrip().endswith(" -c idle_in_transaction_session_timeout=5s")


def test_a_sandbox_with_all_its_settings_starts(tmp_path: Path) -> None:
    sandbox = {"WHATSAPP_PROXY_URL": "http://127.0.0.1:1", "WHATSAPP_NOISE_ROOT": ROOT_KEY}
    assert check(tmp_path, **PRODUCTION, **SANDBOX, **sandbox).returncode == 0


def test_an_asgi_server_refuses_what_manage_py_refuses(tmp_path: Path) -> None:
    done = start(["-c", "import config.asgi"], tmp_path, **{**PRODUCTION, "SECRET_KEY": ""})
    assert done.returncode != 0
    assert "ImproperlyConfigured" in done.stderr
    assert "startup.E001" in done.stderr


def test_a_key_can_be_made_before_there_is_one(tmp_path: Path) -> None:
    bare = {**PRODUCTION, "FIELD_ENCRYPTION_KEYS": "", "SECRET_KEY": ""}
    done = start(["manage.py", "generate_encryption_key"], tmp_path, **bare)
    assert (done.returncode, len(done.stdout.strip())) == (0, 44)


def test_two_first_starts_at_once_agree_on_their_secrets(tmp_path: Path) -> None:
    code = "from config.settings import SECRET_KEY; print(SECRET_KEY)"
    environment = {**clean_environment(), "DATA_DIR": str(tmp_path)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    keys = {process.communicate(timeout=60)[0] for process in started}
    assert len(keys) == 1
    assert [kept.name for kept in tmp_path.glob("embedded*")] == ["embedded-secrets.json"]

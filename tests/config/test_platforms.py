"""YClients and Altegio: one variable switches the brand."""

import json
import os
import sys
from typing import Any

import pytest

from config.platforms import PLATFORMS
from marketplace.yclients.api import YClients
from marketplace.yclients.call_errors import YClientsError
from tests.environment import clean_environment
from tests.forked_processes import run_forked
from tests.marketplace.local_yclients import local_yclients
from tests.marketplace.salons_data import MOSCOW

SHOW = """
import json
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext
said = {}
for language in ("ru", "en"):
    with translation.override(language):
        said[language] = gettext("Back to YClients")
names = ("PLATFORM_NAME", "YCLIENTS_API_URL", "YCLIENTS_MARKETPLACE_URL", "YCLIENTS_ACCEPT", "LANGUAGE_CODE")
print(json.dumps({**said, **{name: getattr(settings, name) for name in names}}))
"""


def shown(**environment: str) -> dict[str, str]:
    """What a process with these variables says of itself."""
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", SHOW]
    given = {**clean_environment(), "DEBUG": "true", "DATABASE_URL": "sqlite://:memory:", **environment}
    done = run_forked(command, environment=given)
    assert done.returncode == 0, done.stderr
    said: dict[str, str] = json.loads(done.stdout)
    return said


def test_one_variable_makes_it_altegio() -> None:
    assert "YCLIENTS_BRAND" not in os.environ
    said = shown(YCLIENTS_BRAND="altegio")
    assert said["YCLIENTS_API_URL"] == "https://api.alteg.io"
    assert said["YCLIENTS_MARKETPLACE_URL"] == "https://api.alteg.io/marketplace"
    assert said["YCLIENTS_ACCEPT"] == "application/vnd.api.v2+json"
    assert (said["en"], said["LANGUAGE_CODE"]) == ("Back to Altegio", "en")
    assert "Altegio" in said["ru"]
    assert "YClients" not in said["ru"]


def test_without_it_everything_is_yclients() -> None:
    said = shown()
    assert (said["PLATFORM_NAME"], said["YCLIENTS_API_URL"]) == ("YClients", "https://api.yclients.com")
    assert said["en"] == "Back to YClients"


def test_an_unknown_brand_does_not_start() -> None:
    command = [sys.executable, "manage.py", "check", "--tag", "startup"]
    given = {
        **clean_environment(),
        "DEBUG": "true",
        "DATABASE_URL": "sqlite://:memory:",
        "YCLIENTS_BRAND": "x",
    }
    done = run_forked(command, environment=given)
    assert done.returncode != 0
    assert "YCLIENTS_BRAND" in done.stderr


@pytest.mark.django_db
def test_the_sandbox_in_altegios_mode_takes_our_calls(settings: Any) -> None:
    altegio = PLATFORMS["altegio"]
    with local_yclients(accept=altegio.accept) as there:
        settings.YCLIENTS_API_URL, settings.YCLIENTS_MARKETPLACE_URL = there.url, there.marketplace_url
        settings.YCLIENTS_ACCEPT = altegio.accept
        with YClients() as api:
            assert api.company(MOSCOW)["title"]
        settings.YCLIENTS_ACCEPT = PLATFORMS["yclients"].accept
        with YClients() as api, pytest.raises(YClientsError):
            api.company(MOSCOW)

"""The folder for the moderators."""

import re
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.test import Client

from marketplace.management.commands.moderation_kit import FILES


def write_kit(folder: Path) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("moderation_kit", output=folder, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_everything_that_is_asked_for_is_written(tmp_path: Path, settings: Any) -> None:
    settings.LEGAL_NAME, settings.SUPPORT_EMAIL = "ООО «Пример»", "help@example.com"
    write_kit(tmp_path / "kit")
    texts = {name: (tmp_path / "kit" / name).read_text() for name in FILES}
    assert all(texts.values())
    assert "ООО «Пример»" in texts["listing.ru.md"]
    assert "help@example.com" in texts["listing.en.md"]
    assert "YClients" in texts["reviewer.md"]
    assert not any(re.search(r"\{[{%]", text) for text in texts.values())


def test_its_addresses_are_answered(tmp_path: Path, settings: Any, db: None) -> None:
    write_kit(tmp_path)
    addresses = re.findall(rf"{settings.BASE_URL}(/\S*)", (tmp_path / "addresses.md").read_text())
    assert len(addresses) == 5
    for path in addresses:
        assert Client().get(path).status_code != 404, path


def test_missing_settings_are_named(tmp_path: Path) -> None:
    _out, err = write_kit(tmp_path)
    assert "LEGAL_NAME" in err

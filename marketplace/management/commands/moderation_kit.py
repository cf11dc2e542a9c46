"""Writes a folder with what the platform's moderators ask for when the application is listed."""

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.loader import render_to_string

FILES = ("addresses.md", "listing.ru.md", "listing.en.md", "reviewer.md", "data.md")


class Command(BaseCommand):
    """Prints the folder, and what is still missing in the settings."""

    help = (
        "Write what the developer's cabinet and the moderators ask for: addresses to enter, texts of the "
        "listing in Russian and English, a script for the reviewer, what happens to data, screenshots."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, default=Path("moderation-kit"), help="folder to write")

    def handle(self, *_args: Any, **options: Any) -> None:
        folder: Path = options["output"]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                (folder / name).write_text(render_to_string(f"moderation/{name}", kit_context()))
            pictures = copy_screenshots(folder / "screenshots")
        except OSError as error:
            raise CommandError(f"{folder} cannot be written: {error}") from error
        self.stdout.write(f"{folder}: {', '.join(FILES)}, {pictures} screenshots")
        for name in missing_settings():
            self.stderr.write(f"{name} is not set: the texts leave it out")


def kit_context() -> dict[str, Any]:
    """What the texts say of this installation."""
    return {
        "base_url": settings.BASE_URL,
        "platform": settings.PLATFORM_NAME,
        "application_id": settings.YCLIENTS_APPLICATION_ID or "…",
        "legal_name": settings.LEGAL_NAME,
        "support": [
            contact
            for contact in (settings.SUPPORT_EMAIL, settings.SUPPORT_PHONE, settings.SUPPORT_URL)
            if contact
        ],
        "days": {
            "messages": settings.RETENTION_MESSAGES_DAYS,
            "media": settings.RETENTION_MEDIA_DAYS,
            "webhooks": settings.RETENTION_WEBHOOKS_DAYS,
            "bookings": settings.RETENTION_BOOKINGS_DAYS,
            "owner": settings.RETENTION_OWNER_DAYS,
        },
    }


def copy_screenshots(folder: Path) -> int:
    """Copy the pictures of `docs/screens`, which `python -m tests.screenshots` makes; return how many."""
    made = sorted((settings.BASE_DIR / "docs" / "screens").glob("*.png"))
    for picture in made:
        folder.mkdir(exist_ok=True)
        shutil.copy(picture, folder)
    return len(made)


def missing_settings() -> list[str]:
    """Settings without which a moderator will ask back."""
    names = ("YCLIENTS_APPLICATION_ID", "LEGAL_NAME", "LEGAL_TAX_ID", "LEGAL_ADDRESS", "SUPPORT_EMAIL")
    return [name for name in names if not getattr(settings, name)]

"""`manage.py create_support_group`: mends the group that the first `migrate` made."""

from typing import Any

from django.core.management.base import BaseCommand

from config.support_group import make_support_group


class Command(BaseCommand):
    """Safe to repeat; members stay."""

    help = (
        "Make or mend the group of support staff. Put users into it in the admin and give them staff status."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        group = make_support_group()
        self.stdout.write(f"Group {group.name}: {group.permissions.count()} permissions.")

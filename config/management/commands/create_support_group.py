"""`manage.py create_support_group`: who sees everything and may operate, but manages no users."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand

NAME = "Support"
SEES = {
    "whatsapp": ("session", "sessionevent", "pool"),
    "marketplace": ("company", "marketplaceevent", "inboundwebhook"),
}
# The change permission stands for the operations; the pages let nobody edit anything.
OPERATES = {"session", "company", "inboundwebhook"}


def make_support_group() -> Group:
    """Return the group with exactly its permissions, made or mended; needs a migrated database."""
    group, _made = Group.objects.get_or_create(name=NAME)
    group.permissions.set(
        Permission.objects.get(content_type__app_label=app, codename=f"{verb}_{model}")
        for app, models in SEES.items()
        for model in models
        for verb in ("view", *(["change"] if model in OPERATES else []))
    )
    return group


class Command(BaseCommand):
    """Safe to repeat; members stay."""

    help = (
        "Make or mend the group of support staff. Put users into it in the admin and give them staff status."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        group = make_support_group()
        self.stdout.write(f"Group {group.name}: {group.permissions.count()} permissions.")

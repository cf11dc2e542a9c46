from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks, sessions  # noqa: F401  (register the system checks and a signal)

        post_migrate.connect(_make_support_group, dispatch_uid="support group")


def _make_support_group(*, app_config: AppConfig, using: str, apps: Any = None, **_more: Any) -> None:
    """Make the group once, when the last of the apps that it may see has its permissions."""
    from config.support_group import NAME, make_support_group

    if apps is None:  # a flush, which empties the tables and migrates nothing
        return
    try:
        group = apps.get_model("auth", "Group")
    except LookupError:  # these apps were migrated without Django's own
        return
    if app_config.label == "marketplace" and not group.objects.using(using).filter(name=NAME).exists():
        make_support_group()

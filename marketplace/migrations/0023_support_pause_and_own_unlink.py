"""A pause by support and an owner's own unlinking are columns of their own."""

from typing import Any

from django.db import migrations, models
from django.utils import timezone


def keep_pauses_of_support(apps: Any, schema_editor: Any) -> None:
    """A number that waits though its owner has not paused it and a salon of it is served waits for support."""
    companies = apps.get_model("marketplace", "Company").objects.exclude(status="uninstalled")
    paused = companies.filter(session__sending_paused=True)
    explained = paused.filter(paused_at__isnull=False).values("session")
    served = paused.exclude(status="frozen").values("session")
    paused.filter(session__in=served).exclude(session__in=explained).update(held_at=timezone.now())


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0022_template_media"), ("whatsapp", "0009_hourly_counts")]

    operations = [
        migrations.AddField(
            model_name="company",
            name="held_at",
            field=models.DateTimeField(blank=True, help_text="support has paused sending", null=True),
        ),
        migrations.AddField(
            model_name="company",
            name="unlinked_at",
            field=models.DateTimeField(blank=True, help_text="the owner has unlinked the phone", null=True),
        ),
        migrations.RunPython(keep_pauses_of_support, migrations.RunPython.noop),
    ]

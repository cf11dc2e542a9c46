from django.db import migrations


class Migration(migrations.Migration):
    """A name in code alone: the table stays as it is."""

    dependencies = [
        ("marketplace", "0006_who_is_taken_to_know"),
    ]

    operations = [
        migrations.AlterModelTable(name="Chore", table="marketplace_chore"),
        migrations.RenameModel(old_name="Chore", new_name="ScheduledTask"),
        migrations.AlterModelOptions(
            name="ScheduledTask",
            options={"verbose_name": "scheduled task", "verbose_name_plural": "scheduled tasks"},
        ),
    ]

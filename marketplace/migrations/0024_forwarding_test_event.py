"""A delivery may be a test."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0023_support_pause_and_own_unlink")]

    operations = [
        migrations.AlterField(
            model_name="forwardedmessage",
            name="event",
            field=models.CharField(
                choices=[
                    ("message.received", "a client wrote"),
                    ("message.status", "state of a message"),
                    ("session.changed", "WhatsApp linked or logged out"),
                    ("test", "test"),
                ],
                db_default="message.received",
                default="message.received",
                max_length=24,
            ),
        ),
    ]

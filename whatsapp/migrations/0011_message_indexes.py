from django.db import migrations, models

# Django's name for it on every database; no statement used it beside those that begin with the session.
INDEX = "whatsapp_message_session_id_74252a9a"


class Migration(migrations.Migration):
    """Two indexes fewer to write for each new message."""

    dependencies = [("whatsapp", "0010_media")]

    operations = [
        migrations.SeparateDatabaseAndState(
            # By Django's own operation PostgreSQL would check the foreign key of every row anew.
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX IF EXISTS {INDEX}",
                    f"CREATE INDEX IF NOT EXISTS {INDEX} ON whatsapp_message (session_id)",
                )
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="message",
                    name="session",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="messages",
                        to="whatsapp.session",
                    ),
                )
            ],
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("sending_at__isnull", False)),
                fields=["session", "sending_at"],
                name="message_sending_at",
            ),
        ),
        migrations.RemoveIndex(model_name="message", name="message_sending"),
    ]

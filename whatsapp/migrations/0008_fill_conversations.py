"""The conversations of the clients who have written before; what they wrote counts as read."""

from django.db import migrations

FILL = """
INSERT INTO whatsapp_conversation (session_id, phone, lid, last_message_id, last_received, last_at, unread)
SELECT message.session_id, message.phone, CASE WHEN message.phone = '' THEN message.lid ELSE '' END,
    message.id, message.id, message.created_at, 0
FROM whatsapp_message message
JOIN (
    SELECT max(id) AS id FROM whatsapp_message
    WHERE direction = 'in' AND (phone <> '' OR lid <> '')
    GROUP BY session_id, phone, CASE WHEN phone = '' THEN lid ELSE '' END
) latest ON latest.id = message.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('whatsapp', '0007_conversations'),
    ]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]

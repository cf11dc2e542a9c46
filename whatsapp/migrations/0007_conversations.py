"""Conversations, answers from the salon's cabinet, and messages of clients without a phone.

A table of its own, because no index over messages finds the clients who wrote last: between them lie all the
notifications that went out meanwhile. It is written when a client writes, which is a tenth of the traffic; what
goes out costs nothing more. One conversation's messages are found by the index over phones.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('whatsapp', '0006_alter_message_source'),
    ]

    operations = [
        migrations.CreateModel(
            name='Conversation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('phone', models.CharField(blank=True, help_text='digits only', max_length=20)),
                ('lid', models.CharField(blank=True, help_text='only while the phone is not known', max_length=64)),
                ('last_received', models.PositiveBigIntegerField(help_text="number of the client's last message")),
                ('last_at', models.DateTimeField()),
                ('unread', models.PositiveIntegerField(default=0)),
                ('read_at', models.DateTimeField(blank=True, help_text="last opened in the salon's cabinet", null=True)),
            ],
            options={
                'verbose_name': 'conversation',
                'verbose_name_plural': 'conversations',
            },
        ),
        migrations.RemoveIndex(
            model_name='message',
            name='message_of_own_source',
        ),
        migrations.AlterField(
            model_name='message',
            name='source',
            field=models.CharField(choices=[('operator', 'YClients notification'), ('booking', 'booking'), ('reminder', 'reminder'), ('welcome', 'welcome'), ('test', 'test'), ('support', 'support'), ('inbound', 'client'), ('optout', 'answer to an opt-out'), ('api', 'API'), ('cabinet', "salon's cabinet")], max_length=16),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('phone', ''), models.Q(('lid', ''), _negated=True)), fields=['lid', '-id'], name='message_by_lid'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('source__in', ['booking', 'reminder', 'welcome', 'test', 'support', 'optout', 'cabinet'])), fields=['source', '-id'], name='message_of_own_source'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='last_message',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='whatsapp.message'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='session',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='conversations', to='whatsapp.session'),
        ),
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(fields=['session', '-last_message'], name='conversation_list'),
        ),
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(condition=models.Q(('unread__gt', 0)), fields=['session'], name='conversation_unread'),
        ),
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(fields=['last_at'], name='conversation_by_age'),
        ),
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(fields=['phone'], name='conversation_by_phone'),
        ),
        migrations.AddConstraint(
            model_name='conversation',
            constraint=models.UniqueConstraint(condition=models.Q(('phone', ''), _negated=True), fields=('session', 'phone'), name='conversation_once_per_phone'),
        ),
        migrations.AddConstraint(
            model_name='conversation',
            constraint=models.UniqueConstraint(condition=models.Q(('phone', '')), fields=('session', 'lid'), name='conversation_once_per_lid'),
        ),
        migrations.AddConstraint(
            model_name='conversation',
            constraint=models.CheckConstraint(condition=models.Q(('lid', ''), ('phone', ''), _negated=True), name='conversation_has_phone_or_lid'),
        ),
    ]

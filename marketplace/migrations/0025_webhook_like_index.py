from django.db import migrations

# PostgreSQL's second index of a unique text, for LIKE: nobody searches keys of webhooks by their beginning.
INDEX = "marketplace_inboundwebhook_dedupe_key_13610f9a_like"


class Migration(migrations.Migration):
    """One index fewer to write for each webhook."""

    dependencies = [("marketplace", "0024_forwarding_test_event")]

    operations = [migrations.RunSQL(f"DROP INDEX IF EXISTS {INDEX}", migrations.RunSQL.noop)]

"""The first page of the admin on a database with very many messages: what it costs, and which panel of it.

    .venv/bin/python -m bench.overview [--messages 200000] [--plans]

Beside the messages of `bench.support`: 2,000 of them wait to be sent, 5,000 wait to be reported, 50,000
webhooks, of which one in fifty failed, and 20 pools with ten hosts each. Goal: 300 ms.
"""

import argparse
from datetime import timedelta

from bench import support

PERIODS = ("24h", "30d")
WEBHOOKS = 50_000
FILL_WEBHOOKS = """
INSERT INTO marketplace_inboundwebhook (kind, dedupe_key, salon_id, name, body, state, repeats, attempts,
    next_attempt_at, last_error, received_at)
SELECT 'entity', 'bench:' || n, 307600 + n %% 200, 'record.update', '{}', kinds.state, 0, 1,
    CASE WHEN kinds.state IN ('failed', 'received') THEN kinds.at END, '', kinds.at
FROM generate_series(1, %(webhooks)s) AS n,
    LATERAL (SELECT CASE WHEN n %% 50 = 0 THEN 'failed' WHEN n %% 99 = 0 THEN 'dead'
            WHEN n %% 500 = 1 THEN 'received' ELSE 'applied' END AS state,
        now() - make_interval(secs => (%(webhooks)s - n) * 30.0 * 86400 / %(webhooks)s) AS at) AS kinds
"""
MAKE_WAIT = """
UPDATE whatsapp_message SET status = 'queued', sending_at = NULL, sent_at = NULL, not_before = created_at
WHERE id IN (SELECT id FROM whatsapp_message WHERE direction = 'out' ORDER BY id DESC LIMIT 2000)
"""
MAKE_DUE = """
UPDATE whatsapp_message SET callback_state = 'due', callback_next_at = created_at
WHERE id IN (SELECT id FROM whatsapp_message WHERE direction = 'out' ORDER BY id DESC LIMIT 5000)
"""


def fill(messages: int) -> None:
    """Everything that the page counts."""
    from django.db import connection
    from django.utils import timezone

    from whatsapp.messages import hourly_counts
    from whatsapp.models import Pool

    support.fill(messages)
    with connection.cursor() as cursor:
        cursor.execute(FILL_WEBHOOKS, {"webhooks": WEBHOOKS})
        cursor.execute(MAKE_WAIT)
        cursor.execute(MAKE_DUE)
        cursor.execute("VACUUM ANALYZE")
    hosts = [{"id": number, "sessions": 50, "rss_bytes": 60 << 20} for number in range(10)]
    for number in range(20):
        Pool.objects.create(
            name=f"bench:{number}:x", heartbeat_at=timezone.now() + timedelta(hours=1), capacity=500,
            sessions=480, hosts=10, rss_bytes=600 << 20, own_rss_bytes=90 << 20, engine_hosts=hosts,
        )  # fmt: skip
    hourly_counts.recount(last=hourly_counts.KEPT)


def measure(*, plans: bool) -> None:
    """The whole page for each period, then what each panel and each plot costs by itself."""
    from django.contrib.auth.models import User
    from django.test import Client, RequestFactory

    from config.shared import overview
    from config.shared.periods import period_named

    client = Client()
    client.force_login(User.objects.create_user("root", is_staff=True, is_superuser=True))

    def page(period: str) -> None:
        response = client.get(f"/admin/?period={period}")
        assert response.status_code == 200, response.status_code

    for period in PERIODS:
        support.report(f"overview, {period}", lambda period=period: page(period), plans=plans)  # type: ignore[misc]
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get()
    for number, read in enumerate(overview._panels, start=1):
        panel = read(request)
        name = f"  panel {number} {panel.title if panel else ''}"
        support.report(name, lambda read=read: read(request), plans=plans)  # type: ignore[misc]
    for period in PERIODS:
        for model, plot in overview._plots:
            name = f"  plot {model._meta.model_name} {plot.__qualname__}, {period}"
            support.report(name, lambda plot=plot, period=period: plot(period_named(period)), plans=plans)  # type: ignore[misc]


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--plans", action="store_true")
    options = parser.parse_args()
    with support.database("overview"):
        fill(options.messages)
        measure(plans=options.plans)


if __name__ == "__main__":
    main()

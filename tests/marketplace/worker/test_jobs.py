"""The worker's jobs and queues: what each may rely on."""

from datetime import timedelta

import pytest
from django.utils import timezone

from config.shared.metrics import render
from config.shared.queue import Queue
from marketplace.models import CompanyCheck, Forwarding, OutageAlert
from marketplace.worker.jobs import QUEUES, READY, all_jobs
from tests.marketplace.salons_data import make_active
from tests.onboarding.cabinet.owners import owned_salon


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_a_claim_depends_on_columns_of_its_own_table_alone(queue: Queue[CompanyCheck]) -> None:
    # Joined tables are not looked at again after waiting for a row's lock: two workers would claim it.
    assert " JOIN " not in str(queue.ready().query)
    assert " IN (SELECT" not in str(queue.ready().query)


def test_jobs_and_queues_have_names_of_their_own() -> None:
    for names in ([job.name for job in all_jobs()], [queue.name for queue in QUEUES]):
        assert len(names) == len(set(names))


@pytest.mark.django_db
def test_every_queue_is_measured() -> None:
    company = make_active()
    CompanyCheck.objects.create(company=company, next_at=timezone.now() - timedelta(hours=1))
    shown = render().decode()
    assert 'marketplace_queue_due{queue="reconciliation"} 1.0' in shown
    assert 'marketplace_queue_age_seconds{queue="reconciliation"} 36' in shown
    for queue in QUEUES:
        assert f'marketplace_queue_dead{{queue="{queue.name}"}} 0.0' in shown


@pytest.mark.django_db
def test_rows_that_nobody_would_work_on_now_are_not_due() -> None:
    """An active, connected salon has no activation to do, and nobody wrote to it."""
    company = owned_salon()
    Forwarding.objects.create(company=company, url="https://bot.example.com/", secret="s")
    OutageAlert.objects.create(company=company, email="owner@example.com")
    shown = render().decode()
    for name, ready in READY.items():
        assert f'marketplace_queue_due{{queue="{name}"}} {ready().count()}.0' in shown
    for name in ("activations", "forwarding"):
        assert f'marketplace_queue_due{{queue="{name}"}} 0.0' in shown, [*READY]

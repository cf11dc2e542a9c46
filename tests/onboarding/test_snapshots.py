"""What a page shows is read for many pages at once."""

import pytest
from django.test.utils import CaptureQueriesContext

from onboarding.linking import page_actions, tokens
from onboarding.linking.page_actions import SnapshotRequest
from onboarding.linking.token_scope import TokenRevoked
from tests.onboarding.visitors import Visitor


def snapshot_request_of(visitor: Visitor, language: str = "ru") -> SnapshotRequest:
    return SnapshotRequest(tokens.verify(visitor.token), viewed=False, language=language)


@pytest.mark.django_db
def test_many_pages_are_read_by_as_many_queries_as_one(moscow: Visitor, kazan: Visitor) -> None:
    texts = [moscow.shows_qr(1), kazan.shows_qr(2)]
    requests = [snapshot_request_of(moscow), snapshot_request_of(kazan, "en")]
    with queries() as of_one:
        page_actions.read_states(requests[:1])
    with queries() as of_both:
        pictures = [state.picture for state in page_actions.read_states(requests)]
    assert len(of_both) == len(of_one)
    assert [picture["qr"] for picture in pictures] == texts
    assert pictures[0]["message"] != pictures[1]["message"]


@pytest.mark.django_db
def test_a_page_whose_salon_is_gone_is_refused(moscow: Visitor, kazan: Visitor) -> None:
    requests = [snapshot_request_of(moscow), snapshot_request_of(kazan)]
    kazan.company.delete()
    with pytest.raises(TokenRevoked):
        page_actions.read_states(requests)
    assert page_actions.read_states(requests[:1])[0].picture["salonId"] == moscow.company.salon_id


def queries() -> CaptureQueriesContext:
    from django.db import connection

    return CaptureQueriesContext(connection)

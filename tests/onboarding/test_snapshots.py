"""What a page shows is read for many pages at once, and its QR code is the text that the pool wrote."""

import re

import pytest
import zxingcpp
from django.test.utils import CaptureQueriesContext
from PIL import Image

from onboarding.linking import page_actions, snapshots, tokens
from onboarding.linking.page_actions import SnapshotRequest
from onboarding.linking.token_scope import TokenRevoked
from tests.onboarding.visitors import QR, Visitor


def snapshot_request_of(visitor: Visitor, language: str = "ru") -> SnapshotRequest:
    return SnapshotRequest(tokens.verify(visitor.token), viewed=False, language=language)


@pytest.mark.django_db
def test_many_pages_are_read_by_as_many_queries_as_one(moscow: Visitor, kazan: Visitor) -> None:
    texts = [moscow.shows_qr(1), kazan.shows_qr(2)]
    requests = [snapshot_request_of(moscow), snapshot_request_of(kazan, "en")]
    with queries() as of_one:
        page_actions.read_snapshots(requests[:1])
    with queries() as of_both:
        pictures = page_actions.read_snapshots(requests)
    assert len(of_both) == len(of_one)
    assert [picture["qr"] for picture in pictures] == texts
    assert pictures[0]["message"] != pictures[1]["message"]


@pytest.mark.django_db
def test_a_page_whose_salon_is_gone_is_refused(moscow: Visitor, kazan: Visitor) -> None:
    requests = [snapshot_request_of(moscow), snapshot_request_of(kazan)]
    kazan.company.delete()
    with pytest.raises(TokenRevoked):
        page_actions.read_snapshots(requests)
    assert page_actions.read_snapshots(requests[:1])[0]["salonId"] == moscow.company.salon_id


def queries() -> CaptureQueriesContext:
    from django.db import connection

    return CaptureQueriesContext(connection)


def test_the_drawn_code_is_the_text() -> None:
    text = QR.format(n=7)
    [found] = zxingcpp.read_barcodes(pixels_of(snapshots.draw(text)))
    assert found.text == text


def pixels_of(svg: str) -> Image.Image:
    """The picture of our own markup, five pixels for each of its units."""
    side = int(re.findall(r'viewBox="0 0 (\d+) ', svg)[0])
    picture = Image.new("L", (side, side), 255)
    path = re.findall(r'stroke="[^"]+" d="([^"]+)"', svg)[0]
    for y, moves in re.findall(r"M0 (\d+)\.5((?:m\d+ 0h\d+)+)", path):
        x = 0
        for gap, run in re.findall(r"m(\d+) 0h(\d+)", moves):
            start, x = x + int(gap), x + int(gap) + int(run)
            picture.paste(0, (start, int(y), x, int(y) + 1))
    return picture.resize((side * 5, side * 5), Image.Resampling.NEAREST)

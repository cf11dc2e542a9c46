"""Phone numbers as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.salons import phone_numbers
from whatsapp.sessions.services import normalise_phone


@given(
    start=st.sampled_from(["+7", "7", "8"]),
    rest=st.integers(min_value=9_000_000_000, max_value=9_999_999_999),
    region=st.sampled_from(["RU", "KZ"]),
)
def test_a_russian_mobile_is_read_as_the_library_reads_it(start: str, rest: int, region: str) -> None:
    written = f"{start}{rest}"
    assert phone_numbers.digits_of(written, region=region) == normalise_phone(written, region=region)


@pytest.mark.parametrize("region", ["DE", "UA"])
def test_elsewhere_the_same_digits_are_the_librarys_to_read(region: str) -> None:
    for written in ("89990000000", "79990000000", "+79990000000"):
        try:
            expected = normalise_phone(written, region=region)
        except ValueError:
            continue
        assert phone_numbers.digits_of(written, region=region) == expected

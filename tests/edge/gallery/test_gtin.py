from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.gallery.gtin import check_digit, gtin14, parse_gtin


@pytest.mark.parametrize(
    "printed", ["96385074", "036000291452", "4006381333931", "10012345678902", "4 006381 333931"]
)
def test_known_numbers_are_accepted(printed: str) -> None:
    assert parse_gtin(printed) == printed.replace(" ", "")


@pytest.mark.parametrize(
    "text", ["", "12345", "400638133393a", "4.00638E+12", "４００６３８１３３３９３１"]
)
def test_what_is_no_number_of_a_known_length_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="8, 12, 13 or 14 digits"):
        parse_gtin(text)


def test_a_wrong_check_digit_says_which_was_expected() -> None:
    with pytest.raises(ValueError, match="'4006381333932' has check digit 2, expected 1"):
        parse_gtin("4006381333932")


@given(st.text("0123456789", min_size=12, max_size=12), st.integers(0, 11), st.integers(1, 9))
def test_every_single_wrong_digit_is_noticed(body: str, at: int, shift: int) -> None:
    digits = body + check_digit(body)
    wrong = digits[:at] + str((int(digits[at]) + shift) % 10) + digits[at + 1 :]
    with pytest.raises(ValueError, match="check digit"):
        parse_gtin(wrong)


def test_lengths_of_one_number_are_equal_in_the_long_form() -> None:
    assert gtin14("036000291452") == gtin14("0036000291452")

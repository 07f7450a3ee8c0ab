"""GTIN-8, -12, -13, -14: check digit and common form (GS1 General Specifications 7.9)."""

from __future__ import annotations

LENGTHS = (8, 12, 13, 14)


def parse_gtin(text: str) -> str:
    """The digits of a GTIN as printed, without spaces or hyphens.

    Raises ValueError that names the value when the length or the check digit is wrong.
    """
    digits = text.replace(" ", "").replace("-", "")
    if not (digits.isascii() and digits.isdigit()) or len(digits) not in LENGTHS:
        raise ValueError(f"GTIN {text!r} must have 8, 12, 13 or 14 digits")
    expected = check_digit(digits[:-1])
    if digits[-1] != expected:
        raise ValueError(f"GTIN {text!r} has check digit {digits[-1]}, expected {expected}")
    return digits


def check_digit(body: str) -> str:
    """The last digit of a GTIN from the digits before it: weights 3, 1, 3, … from the right."""
    total = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(body)))
    return str(-total % 10)


def gtin14(gtin: str) -> str:
    """The 14-digit form under which two spellings of one GTIN are equal."""
    return gtin.zfill(14)

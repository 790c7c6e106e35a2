"""Money at the edges: decimal dollars in text, integer micro-dollars everywhere else. Never a float in between."""

from decimal import Decimal, InvalidOperation

MICRO = 1_000_000
_MOST_USD = Decimal(1_000_000)


def micro_from_usd(text: str) -> int:
    """`"0.04"` as 40000 micro-dollars.

    Raises `ValueError` for anything but a positive decimal of at most six places: a zero is not a price.
    """
    try:
        usd = Decimal(text)
    except InvalidOperation:
        raise ValueError(f'{text!r} is not an amount of dollars; write a decimal in quotes, such as "0.04"') from None
    if not usd.is_finite() or not 0 < usd <= _MOST_USD:
        raise ValueError(f"{text!r} must be more than 0 and at most {_MOST_USD}; a zero is not an amount here")
    micro = usd * MICRO
    if micro != micro.to_integral_value():
        raise ValueError(f"{text!r} has more than six decimal places; money is counted in micro-dollars")
    return int(micro)


def usd(micro: int) -> str:
    """40000 micro-dollars as `"0.040000"`."""
    sign = "-" if micro < 0 else ""
    whole, part = divmod(abs(micro), MICRO)
    return f"{sign}{whole}.{part:06d}"

"""What an offer charges for one edit on a day, in whole micro-dollars, from dated price rows.

Prices are held before money moves, so a guess errs upwards: a row seen at exactly this size or these steps is
believed, anything beyond what a row was seen for is scaled up and never down, and a missing row is an error, never 0.
"""

from datetime import date
from math import ceil

from msgspec import Struct

from adapters.contract import GpuPrice, Offer, Price
from adapters.fit import Sent

MEGAPIXEL = 1024 * 1024
"""Pixels that a price without a size covers: the Kontext family's own working size."""


class Quoted(Struct, frozen=True, gc=False):
    """What an edit is expected to cost at an offer, and at most, where that differs (None: it is the price)."""

    price_micro: int = 0
    most_micro: int | None = None

    @property
    def hold_micro(self) -> int:
        return self.price_micro if self.most_micro is None else self.most_micro


class MissingPrice(ValueError):  # noqa: N818 - a word of the domain, caught by name at start
    """A billed offer has no price for what would be bought. The catalogue is wrong, and the gateway must not start."""


def price_micro(offer: Offer, sent: Sent, day: date) -> int:
    """Micro-dollars for all `sent.n` pictures, as somebody bills them. Raises `MissingPrice` where no row applies."""
    if not offer.billed:
        return 0
    applicable = [row for row in offer.prices if row.since <= day and _covers(row, offer, sent)]
    if not applicable:
        raise MissingPrice(f"{offer.name}: no price applies on {day}; add a [[prices]] row without size and steps")
    row = max(applicable, key=lambda row: (_precision(row), row.since))
    return _per_picture_micro(row, offer, sent) * sent.n


def gpu_micro(gpu: GpuPrice, seconds: float) -> int:
    """Micro-dollars for so many seconds of one's own machine, rounded up."""
    micro = -(-gpu.second_micro * ceil(max(0.0, seconds) * 1000) // 1000)
    return micro if gpu.most_micro is None else min(micro, gpu.most_micro)


def quoted_by_time(gpu: GpuPrice, usual_s: float, left_s: float) -> Quoted:
    """For the time that an edit usually takes, and for the longest that a call may, with `left_s` of the deadline
    left."""
    most_micro = gpu_micro(gpu, max(gpu.timeout_s, left_s))
    return Quoted(min(gpu_micro(gpu, usual_s), most_micro), most_micro)


def require_price(offer: Offer, day: date) -> None:
    """Raises `MissingPrice` unless every edit at `offer` can be priced from `day` on: the check at start.

    Where steps are a dial, `default_steps` must say what the price was seen at, or more steps would look free.
    """
    if not offer.billed:
        return
    worthless = [row for row in offer.prices if row.micro_usd <= 0]
    if worthless:
        raise MissingPrice(f"{offer.name}: a price of {worthless[0].micro_usd} is none; set billed = false or a price")
    if offer.abilities.steps and offer.default_steps is None:
        raise MissingPrice(f"{offer.name}: steps change its price; set default_steps to what the price was seen at")
    if not any(row.since <= day and _precision(row) == 0 for row in offer.prices):
        raise MissingPrice(f"{offer.name}: no price is in force on {day}; add a row without size and steps")


def _steps(offer: Offer, sent: Sent) -> int | None:
    return offer.default_steps if sent.steps is None else sent.steps


def _covers(row: Price, offer: Offer, sent: Sent) -> bool:
    """A row with a size or steps is for exactly those; one without is for any."""
    size_fits = row.size is None or (sent.size is not None and row.size == str(sent.size))
    return size_fits and (row.steps is None or row.steps == _steps(offer, sent))


def _precision(row: Price) -> int:
    return (row.size is not None) + (row.steps is not None)


def _per_picture_micro(row: Price, offer: Offer, sent: Sent) -> int:
    """The row's price, scaled up for steps and pixels beyond what it covers.

    Only an offer with `default_steps` is priced by compute. The others have one price for all their sizes: scaling
    theirs by pixels would overcharge the widest Kontext shape (1568x672 is more than 1024x1024).
    """
    if offer.default_steps is None:
        return row.micro_usd
    numerator, denominator = row.micro_usd, 1
    steps = _steps(offer, sent)
    if row.steps is None and steps is not None and steps > offer.default_steps:
        numerator, denominator = numerator * steps, denominator * offer.default_steps
    if row.size is None and sent.size is not None and sent.size.width * sent.size.height > MEGAPIXEL:
        numerator, denominator = numerator * sent.size.width * sent.size.height, denominator * MEGAPIXEL
    return -(-numerator // denominator)  # the ceiling, without leaving the integers

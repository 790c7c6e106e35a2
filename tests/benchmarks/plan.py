"""What a plan costs. Prints a table; asserts nothing.

    uv run python tests/benchmarks/plan.py [--repeat 2000]

Offers that all differ in price and facts, under `expected_cost`. *Like before*: an edit of a shape that was planned
before (the usual case: words and pictures differ, dials and sizes do not). *Unlike any*: nothing is remembered of it.
Goal: below 200 µs for 50 offers.
"""

import argparse
import time
from datetime import date

from adapters.contract import Abilities, Edit, ImageFormat, Offer, Picture, Price, Range, Tier
from policies.facts import Facts, OfferFacts
from policies.plans import plan
from policies.policy import Policy
from policies.wishes import Wishes

DAY = date(2026, 11, 20)
SIZES = ("1568x672", "1392x752", "1248x832", "1184x880", "1024x1024", "880x1184", "832x1248", "752x1392", "672x1568")


def offer(number: int) -> Offer:
    return Offer(
        provider=f"provider{number % 10}",
        model=f"model{number}",
        wire_model="model",
        tier=Tier.PREMIUM if number % 5 == 0 else Tier.STANDARD,
        abilities=Abilities(n=4, sizes=SIZES, seed=True, safety=Range(0, 6)),
        prices=(Price(micro_usd=40_000 + 100 * (number % 7), since=date(2026, 1, 1), source="a benchmark"),),
        usual_s=5 + number % 11,
    )


def edit(number: int, *, unlike: bool) -> Edit:
    photo = Picture(f"{number:064x}", ImageFormat.JPEG, 1500 + (number if unlike else 0), 1000, 100_000)
    return Edit(prompt="Make the mug blue", images=(photo,))


def median_us(offers: int, repeat: int, *, unlike: bool) -> float:
    shop = {one.name: one for one in map(offer, range(offers))}
    policy = Policy(name="balanced", tier=Tier.STANDARD, offers=tuple(shop), order=("expected_cost",))
    known = {
        name: OfferFacts(usual_s=8 + n % 5, p95_s=20, success=1 - n % 9 / 100, in_use=n % 4, limit=8)
        for n, name in enumerate(shop)
    }
    wishes, took = Wishes(tier=Tier.STANDARD, max_cost_micro=200_000), list[float]()
    for number in range(repeat):
        asked, facts = edit(number, unlike=unlike), Facts(day=DAY, offers=known, seed=number)
        began = time.perf_counter()
        plan(asked, wishes, policy, shop, facts)
        took.append(time.perf_counter() - began)
    return sorted(took)[repeat // 2] * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=2000)
    repeat: int = parser.parse_args().repeat
    print(f"{'offers':>6}  {'like before':>12}  {'unlike any':>12}   (median µs of {repeat} plans)")
    for offers in (5, 50, 500):
        times = max(20, repeat * 5 // offers)
        alike, fresh = median_us(offers, times, unlike=False), median_us(offers, times, unlike=True)
        print(f"{offers:>6}  {alike:>12.0f}  {fresh:>12.0f}")


if __name__ == "__main__":
    main()

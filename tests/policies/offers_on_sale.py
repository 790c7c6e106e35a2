"""Offers, edits and Hypothesis strategies that the policy tests share."""

from datetime import date
from typing import Any

from hypothesis import strategies as st

from adapters.contract import Abilities, Edit, ImageFormat, Offer, Picture, Price, Range, Tier
from policies.circuit import State
from policies.conditions import When
from policies.facts import Facts, OfferFacts
from policies.orders import ORDERS
from policies.policy import Policy, Rule
from policies.wishes import Wishes

DAY = date(2026, 11, 20)
PHOTO = Picture("0" * 64, ImageFormat.JPEG, 1500, 1000, 100_000)


def edit(**fields: Any) -> Edit:
    given: dict[str, Any] = {"prompt": "Make the mug blue", "images": (PHOTO,)} | fields
    return Edit(**given)


def price(micro_usd: int, since: date = date(2026, 1, 1), **fields: Any) -> Price:
    return Price(micro_usd=micro_usd, since=since, source="a test", **fields)


def offer(name: str, micro_usd: int = 40_000, tier: Tier = Tier.STANDARD, **fields: Any) -> Offer:
    provider, _, model = name.partition("/")
    given: dict[str, Any] = {"abilities": Abilities(), "prices": (price(micro_usd),), "wire_model": model} | fields
    return Offer(provider=provider, model=model, tier=tier, **given)


PRO = offer("runware/kontext-pro", overflow_after_s=30.0)
MAX = offer("runware/kontext-max", 80_000, Tier.PREMIUM)
DEV = offer(
    "runware/kontext-dev",
    tier=Tier.DRAFT,
    abilities=Abilities(n=20, steps=Range(1, 100)),
    prices=(price(14_300, size="1248x832", steps=28), price(15_000)),
    default_steps=28,
)
FLOW_PRO = offer("runflow/kontext-pro")
FLOW_MAX = offer("runflow/kontext-max", 80_000, Tier.PREMIUM)
PREVIEW = offer("local/preview", tier=Tier.PREVIEW, prices=(), billed=False, usual_s=0.5)

SHOP = {one.name: one for one in (PRO, MAX, DEV, FLOW_PRO, FLOW_MAX, PREVIEW)}

names = st.lists(st.sampled_from(sorted(SHOP)), max_size=6).map(tuple)
seconds = st.floats(0, 200, allow_nan=False)
offer_facts = st.builds(
    OfferFacts,
    usual_s=st.none() | seconds,
    healthy=st.booleans(),
    disabled=st.sampled_from([None, None, None, "drained by an operator"]),
    p95_s=st.none() | seconds,
    success=st.floats(0, 1),
    throttled=st.floats(0, 1),
    drift=st.floats(0.25, 4),
    circuit=st.sampled_from(State),
    sick_s=st.floats(0, 300),
    in_use=st.integers(0, 10),
    limit=st.none() | st.integers(1, 8),
    queue_s=st.floats(0, 60),
)
seeds = st.integers(-(2**63), 2**64)
facts = st.builds(
    Facts,
    day=st.just(DAY),
    elapsed_s=seconds,
    offers=st.dictionaries(st.sampled_from(sorted(SHOP)), offer_facts),
    minute=st.none() | st.integers(0, 1439),
    budget_left=st.none() | st.floats(0, 1),
    seed=st.none() | seeds,
)
orders = st.lists(st.sampled_from(sorted(ORDERS)), max_size=2).map(tuple)
shares = st.dictionaries(st.sampled_from(sorted(SHOP)), st.floats(0, 10))
wishes = st.builds(
    Wishes,
    tier=st.sampled_from(Tier),
    max_cost_micro=st.none() | st.integers(0, 200_000),
    deadline_s=seconds,
    models=names,
    allowed=st.none() | names,
    metadata=st.sampled_from([{}, {"user": "ann"}, {"user": "bob"}]),
)
policies = st.builds(
    Policy,
    name=st.just("any"),
    tier=st.sampled_from(Tier),
    offers=names,
    order=orders,
    shares=shares,
    sticky=st.sampled_from([None, "user"]),
)
rules = st.builds(
    Rule,
    when=st.builds(When, utc=st.sampled_from([None, "20:00-06:00"]), budget_left_below=st.sampled_from([None, 0.5])),
    offers=st.none() | names,
    order=st.none() | orders,
    degrade_to=st.none() | st.sampled_from(Tier),
)
ruled_policies = st.builds(
    Policy,
    name=st.just("ruled"),
    tier=st.sampled_from(Tier),
    offers=names,
    order=orders,
    rules=st.lists(rules, max_size=3).map(tuple),
    degrade_to=st.none() | st.sampled_from(Tier),
)
edits = st.builds(edit, n=st.integers(1, 3), steps=st.none() | st.integers(1, 100), strict=st.booleans())

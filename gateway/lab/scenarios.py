"""What goes wrong, as data: a market, and faults with a beginning and an end."""

from datetime import date, timedelta
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import Abilities, Offer, Price, Tier

EVE, MORROW = date(2026, 11, 20), date(2026, 11, 21)
SECONDS = 1800.0


class Trouble(StrEnum):
    DOWN = "down"  # no connection
    ERRORS = "errors"  # `size`: the share of attempts that fail
    SLOW = "slow"  # `size`: how many times slower
    RATE = "rate"  # `size`: submits accepted, as a share of the load


class Fault(Struct, frozen=True, kw_only=True):
    """`flap_s`: on for so long, off for as long, and so on; 0 is on all the time. Seconds from the start."""

    trouble: Trouble
    providers: tuple[str, ...]
    from_s: float
    to_s: float
    size: float = 1.0
    flap_s: float = 0.0

    def hits(self, provider: str, at_s: float) -> bool:
        if provider not in self.providers or not self.from_s <= at_s < self.to_s:
            return False
        return not self.flap_s or int((at_s - self.from_s) / self.flap_s) % 2 == 0


class Scenario(Struct, frozen=True, kw_only=True):
    """`midnight_s`: when the day changes, and prices with it, from `eve` to the next; `minute` is that of the day on
    which it begins. Equal arrivals per second over `seconds`. `elsewhere`: a market that no promise was made for."""

    name: str
    about: str
    offers: tuple[Offer, ...]
    faults: tuple[Fault, ...] = ()
    seconds: float = SECONDS
    deadline_s: float = 120.0
    midnight_s: float = SECONDS
    eve: date = EVE
    minute: int | None = None
    elsewhere: bool = False

    def day(self, at_s: float) -> date:
        return self.eve if at_s < self.midnight_s else self.eve + timedelta(days=1)

    def minute_at(self, at_s: float) -> int | None:
        """Of its UTC day; None in a scenario that has no hours."""
        return None if self.minute is None else int(self.minute + at_s / 60) % 1440


def sold(name: str, usd_micro: int, usual_s: float, tier: Tier, then_micro: int | None = None) -> Offer:
    """An offer of the laboratory's market; from the morrow on at `then_micro`."""
    provider, _, model = name.partition("/")
    rows = [Price(micro_usd=usd_micro, since=date(2026, 1, 1), source="lab")]
    if then_micro is not None:
        rows.append(Price(micro_usd=then_micro, since=MORROW, source="lab"))
    return Offer(
        provider=provider,
        model=model,
        wire_model=model,
        tier=tier,
        abilities=Abilities(n=4, seed=True),
        prices=tuple(rows),
        usual_s=usual_s,
    )


PRO = sold("runware/kontext-pro", 40_000, 10.0, Tier.STANDARD)
FLOW_PRO = sold("runflow/kontext-pro", 40_000, 10.0, Tier.STANDARD)
MAX = sold("runware/kontext-max", 80_000, 15.0, Tier.PREMIUM)
FLOW_MAX = sold("runflow/kontext-max", 80_000, 15.0, Tier.PREMIUM)
MARKET = (PRO, FLOW_PRO, MAX, FLOW_MAX)
DEARER = sold("runware/kontext-pro", 40_000, 10.0, Tier.STANDARD, then_micro=50_000)
CHEAPER_ELSEWHERE = (DEARER, sold("runflow/kontext-pro", 44_000, 10.0, Tier.STANDARD), MAX, FLOW_MAX)

_FIRST, _ALL = ("runware",), ("runware", "runflow")


def _one(name: str, about: str, *faults: Fault) -> Scenario:
    return Scenario(name=name, about=about, offers=MARKET, faults=faults)


def _fault(trouble: Trouble, size: float = 1.0, providers: tuple[str, ...] = _FIRST, flap_s: float = 0.0) -> Fault:
    """From the tenth to the twentieth minute."""
    return Fault(trouble=trouble, providers=providers, from_s=600, to_s=1200, size=size, flap_s=flap_s)


SCENARIOS: tuple[Scenario, ...] = (
    _one("healthy", "nothing goes wrong but 1 % of attempts"),
    _one("down", "the first provider is down for 10 minutes", _fault(Trouble.DOWN)),
    _one("errors", "half of the first provider's attempts fail for 10 minutes", _fault(Trouble.ERRORS, 0.5)),
    _one("slow", "the first provider is 10 times slower for 10 minutes", _fault(Trouble.SLOW, 10)),
    _one("flapping", "the first provider is down every other 30 s for 10 minutes", _fault(Trouble.DOWN, flap_s=30)),
    _one("limited", "the first provider takes half the load for 10 minutes", _fault(Trouble.RATE, 0.5)),
    Scenario(
        name="midnight",
        about="the first provider's price rises above the second's in the middle",
        offers=CHEAPER_ELSEWHERE,
        midnight_s=900.0,
    ),
    _one("all down", "everything is down for 10 minutes, then back", _fault(Trouble.DOWN, providers=_ALL)),
)


def second_at(scenario: Scenario, usd_micro: int) -> Scenario:
    """The scenario in a market where the second provider is not just as cheap: spreading load then costs money."""
    dearer = sold(FLOW_PRO.name, usd_micro, FLOW_PRO.usual_s, FLOW_PRO.tier)
    offers = tuple(dearer if one.name == dearer.name else one for one in scenario.offers)
    price = f"${usd_micro / 1e6:g}"
    about = f"{scenario.about}; the second's kontext-pro is {price}"
    return replace(scenario, name=f"{scenario.name}, 2nd {price}", about=about, offers=offers, elsewhere=True)

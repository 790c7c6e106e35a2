"""Every strategy through every scenario: the same edits, the same luck, one table a scenario."""

from collections.abc import Callable, Sequence
from functools import partial

from adapters.contract import Tier
from gateway.lab.baselines import Chain, LowestLatency, Oracle, RoundRobin, WeightedShuffle
from gateway.lab.router import Router
from gateway.lab.scenarios import SCENARIOS, Scenario
from gateway.lab.simulation import Run, Strategy, simulated
from gateway.lab.tables import Row, Table, row_of
from policies.policy import Policy

EDITS = 6000
SEED = 1

OFFERS = tuple(offer.name for offer in SCENARIOS[0].offers)
BALANCED = Policy(name="balanced", tier=Tier.STANDARD, offers=OFFERS, order=("expected_cost",))
BASELINES: tuple[Callable[[], Strategy], ...] = (Oracle, Chain, RoundRobin, LowestLatency, WeightedShuffle)


def run(
    scenarios: Sequence[Scenario] = SCENARIOS,
    seed: int = SEED,
    edits: int = EDITS,
    policies: Sequence[Policy] = (BALANCED,),
    played: Callable[[str, str], None] = lambda _scenario, _strategy: None,
) -> tuple[Table, ...]:
    """The policies beside the baselines. `played` hears of every scenario and strategy that is done."""
    return tuple(compared(partial(simulated, scenario, seed, edits), policies, played) for scenario in scenarios)


def compared(
    fresh: Callable[[], Run],
    policies: Sequence[Policy],
    played: Callable[[str, str], None] = lambda _scenario, _strategy: None,
) -> Table:
    """One table: every strategy in a fresh run of the same world."""
    rows: list[Row] = []
    strategies: list[Strategy] = [*(Router(policy) for policy in policies), *(baseline() for baseline in BASELINES)]
    market = fresh()
    for strategy in strategies:
        market = fresh()
        rows.append(row_of(strategy.name, market.play(strategy), market.world))
        played(market.scenario.name, strategy.name)
    return Table(
        scenario=market.scenario,
        rows=tuple(rows),
        baselines=tuple(strategy.name for strategy in strategies[len(policies) :] if strategy.name != Oracle.name),
        edits=len(market.arrivals) * len(strategies),
    )

"""What a run is worth, in the figures that people choose by."""

from math import inf

from msgspec import Struct

from adapters.contract import FailureKind
from gateway.lab.scenarios import Scenario
from gateway.lab.simulation import Ended
from gateway.lab.world import World


class Row(Struct, frozen=True, kw_only=True):
    """One strategy in one scenario. Shares are of the edits that were not refused for their content.

    `usd_each`: all that was charged, per delivered edit. `waste_usd`: what was charged beyond one price per delivered
    edit, per thousand edits. `sick`: submits to the sick provider per edit that arrived while it was sick, the worst
    of several; None where none was.
    """

    strategy: str
    delivered: float
    in_time: float
    usd_each: float
    waste_usd: float
    p50_s: float
    p95_s: float
    sick: float | None


class Table(Struct, frozen=True, kw_only=True):
    """`baselines`: which rows are of what people use today. `edits`: how many were played, by all strategies."""

    scenario: Scenario
    rows: tuple[Row, ...]
    baselines: tuple[str, ...]
    edits: int

    def row(self, strategy: str) -> Row:
        return next(row for row in self.rows if row.strategy == strategy)

    def dearer(self, row: Row) -> float:
        """How much more a delivered edit cost than the oracle paid, as a share; where it paid nothing, without end."""
        paid = self.row("oracle").usd_each
        if not paid:
            return inf if row.usd_each else 0.0
        return row.usd_each / paid - 1.0


def row_of(strategy: str, ended: list[Ended], world: World) -> Row:
    counted = [one for one in ended if one.failure is not FailureKind.MODERATED]
    delivered = [one for one in counted if one.failure is None]
    charged = sum(one.charged_micro for one in ended)
    times = sorted(one.seconds for one in delivered)
    return Row(
        strategy=strategy,
        delivered=len(delivered) / max(1, len(counted)),
        in_time=sum(seconds <= world.scenario.deadline_s for seconds in times) / max(1, len(counted)),
        usd_each=charged / 1e6 / max(1, len(delivered)),
        waste_usd=_waste_micro(ended) / 1e3 / len(ended),
        p50_s=times[len(times) // 2] if times else 0.0,
        p95_s=times[int(len(times) * 0.95)] if times else 0.0,
        sick=_sick(ended, world),
    )


def _waste_micro(ended: list[Ended]) -> int:
    """A delivered edit keeps the last thing it bought; everything else that its provider charged is waste."""
    return sum(one.charged_micro - (one.kept_micro if one.failure is None else 0) for one in ended)


def _sick(ended: list[Ended], world: World) -> float | None:
    shares: list[float] = []
    for provider, submits in world.sick_submits.items():
        offered = sum(any(fault.hits(provider, one.arrived_s) for fault in world.scenario.faults) for one in ended)
        shares.append(submits / max(1, offered))
    return max(shares, default=None)

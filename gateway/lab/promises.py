"""What the shipped policy promises in every scenario, held against a table."""

from msgspec import Struct

from gateway.lab.tables import Table

HEALTHY, SICK, SUBMITS = 0.03, 0.10, 1.2


class Promise(Struct, frozen=True, kw_only=True):
    """`elsewhere`: in a market that the promise was not made for, and is told all the same."""

    scenario: str
    policy: str
    words: str
    kept: bool
    elsewhere: bool = False


def promises(table: Table, policy: str) -> tuple[Promise, ...]:
    """At least as many edits as every baseline, at nearly the oracle's price, and the sick left alone."""
    row = table.row(policy)
    rivals = [other.delivered for other in table.rows if other.strategy in table.baselines]
    dearer, most, sick = table.dearer(row), SICK if table.scenario.faults else HEALTHY, row.sick or 0.0
    said = (
        (f"delivers {row.delivered:.2%}, the best baseline {max(rivals):.2%}", row.delivered >= max(rivals)),
        (f"costs {dearer:+.1%} to the oracle, at most +{most:.0%}", dearer <= most),
        (f"sends a sick provider {sick:.2f}×, at most {SUBMITS:.2f}×", sick <= SUBMITS),
    )
    return tuple(
        Promise(scenario=table.scenario.name, policy=policy, words=words, kept=kept, elsewhere=table.scenario.elsewhere)
        for words, kept in said
    )

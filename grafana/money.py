"""*Money*: where it goes, what is held, what was wasted, and which budgets are nearly spent?"""

from grafana.description import RANGE, RATE, Board, Kind, Panel, Query, Row, Unit, Variable

COST = 'tier=~"$tier", offer=~"$offer"'


def _share(part: str) -> str:
    return f"sum(increase({part}[6h])) / sum(increase(kontext_cost_usd_total[6h]))"


NOW = Row(
    "Now",
    (
        Panel(
            title="Spent in this window",
            says="What providers charged, counted since the processes started.",
            kind=Kind.NUMBER,
            queries=(Query(f"sum(increase(kontext_cost_usd_total{{{COST}}}[{RANGE}]))"),),
            unit=Unit.USD,
            width=4,
            height=4,
        ),
        Panel(
            title="Held",
            says="For edits that go on, and for those whose fate nobody knows.",
            kind=Kind.NUMBER,
            queries=(Query("max(kontext_budget_held_usd)"),),
            unit=Unit.USD,
            width=4,
            height=4,
        ),
        Panel(
            title="Held for the unresolved",
            says="Money that waits for the truth or for an operator.",
            kind=Kind.NUMBER,
            queries=(Query("max(kontext_unresolved_usd)"),),
            unit=Unit.USD,
            width=4,
            height=4,
            runbook="KontextUnresolvedOld",
        ),
        Panel(
            title="Oldest unresolved",
            says="For how long the oldest unresolved attempt has waited.",
            kind=Kind.NUMBER,
            queries=(Query("max(kontext_unresolved_oldest_age_seconds)"),),
            unit=Unit.SECONDS,
            width=4,
            height=4,
            limits=(3600,),
            runbook="KontextUnresolvedOld",
        ),
        Panel(
            title="Wasted, 6 h",
            says="Charged without delivering, as a share of all that was charged; the losers of bought races left out.",
            kind=Kind.NUMBER,
            queries=(Query(_share('kontext_wasted_cost_usd_total{reason!="hedge"}')),),
            unit=Unit.SHARE,
            width=4,
            height=4,
            limits=(0.03,),
            runbook="KontextWaste",
        ),
        Panel(
            title="Drift, 6 h",
            says="How far charges lay from what we had quoted, as a share of all that was charged.",
            kind=Kind.NUMBER,
            queries=(Query(_share("kontext_cost_drift_usd_total")),),
            unit=Unit.SHARE,
            width=4,
            height=4,
            limits=(0.05,),
            runbook="KontextPriceDrift",
        ),
    ),
)

SPEND = Row(
    "Spend",
    (
        Panel(
            title="Spend per hour by offer",
            says="What providers charge, at the present pace.",
            kind=Kind.LINES,
            queries=(Query(f"3600 * sum by (offer) (rate(kontext_cost_usd_total{{{COST}}}[{RATE}]))", "{{offer}}"),),
            unit=Unit.USD,
            stacked=True,
        ),
        Panel(
            title="Spend per hour by tier",
            says="The same by the quality that was bought.",
            kind=Kind.LINES,
            queries=(Query(f"3600 * sum by (tier) (rate(kontext_cost_usd_total{{{COST}}}[{RATE}]))", "{{tier}}"),),
            unit=Unit.USD,
            stacked=True,
        ),
        Panel(
            title="Whose figure",
            says="`provider` told the cost itself; `table` is our price, where it did not.",
            kind=Kind.BARS,
            queries=(
                Query(f"sum by (cost_source) (increase(kontext_cost_usd_total{{{COST}}}[{RANGE}]))", "{{cost_source}}"),
            ),
            unit=Unit.USD,
        ),
    ),
)

LOSS = Row(
    "Lost and drifted",
    (
        Panel(
            title="Wasted by reason",
            says="Charged without delivering. `hedge`: second runners that a team bought and that lost.",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"topk(10, sum by (offer, reason) "
                    f'(increase(kontext_wasted_cost_usd_total{{offer=~"$offer"}}[{RANGE}])))',
                    "{{offer}}: {{reason}}",
                ),
            ),
            unit=Unit.USD,
            width=6,
            runbook="KontextWaste",
        ),
        Panel(
            title="Drift of prices",
            says="Charged over or under the quote. Update the catalogue where it goes on.",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"topk(10, sum by (offer, sign) "
                    f'(increase(kontext_cost_drift_usd_total{{offer=~"$offer"}}[{RANGE}])))',
                    "{{offer}}: {{sign}}",
                ),
            ),
            unit=Unit.USD,
            width=6,
            runbook="KontextPriceDrift",
        ),
        Panel(
            title="Age of prices",
            says="Since the day on which the price in force was seen.",
            kind=Kind.BARS,
            queries=(Query('max by (offer) (kontext_price_age_seconds{offer=~"$offer"})', "{{offer}}"),),
            unit=Unit.SECONDS,
            width=6,
            limits=(90 * 86_400,),
            runbook="KontextPriceOld",
        ),
        Panel(
            title="Waiting for the truth",
            says="Attempts whose fate nobody knows: the reconciler asks on, and an operator may say.",
            kind=Kind.LINES,
            queries=(Query("max(kontext_unresolved_attempts)", "unresolved"),),
            width=6,
            runbook="KontextUnresolvedOld",
        ),
    ),
)

BUDGETS = Row(
    "Budgets",
    (
        Panel(
            title="Budgets near their cap",
            says="Spent and held over the cap: the gateway's, and the fullest of the teams' and the keys'. Whose: "
            "`kontext usage`.",
            kind=Kind.LINES,
            queries=(Query("max by (scope, window) (kontext_budget_used_ratio)", "{{scope}}, {{window}}"),),
            unit=Unit.SHARE,
            limits=(0.8, 1),
            width=12,
            runbook="KontextBudgetNearlySpent",
        ),
        Panel(
            title="Denied by a budget",
            says="Edits and attempts for which too little was left. `edit` is a caller's own max_cost_usd.",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"sum by (scope, window) (increase(kontext_budget_denials_total[{RANGE}]))", "{{scope}}, {{window}}"
                ),
            ),
            width=12,
            runbook="KontextBudgetAtTheWall",
        ),
    ),
)

BOARD = Board(
    uid="kontext-money",
    title="Kontext: money",
    says="Where it goes, what is held, what was wasted, and which budgets are nearly spent?",
    rows=(NOW, SPEND, LOSS, BUDGETS),
    variables=(
        Variable("tier", "kontext_cost_usd_total", "tier"),
        Variable("offer", "kontext_cost_usd_total", "offer"),
    ),
)

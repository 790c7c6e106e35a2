"""*Overview*: does it work, how fast is it, what does it cost, and what did failover save?"""

from grafana.description import COUNTED, OBJECTIVE, OURS, RATE, Board, Kind, Panel, Query, Row, Unit, Variable

EDITS = 'tier=~"$tier", policy=~"$policy"'


def _failing(window: str) -> str:
    bad = f"sum(rate(kontext_edits_total{{{EDITS}, {OURS}}}[{window}]))"
    return f"{bad} / sum(rate(kontext_edits_total{{{EDITS}, {COUNTED}}}[{window}]))"


def _burn(window: str) -> Query:
    return Query(f"({_failing(window)}) / {OBJECTIVE}", window)


def _quantile(share: float) -> Query:
    good = 'tier=~"$tier", outcome=~"ok|late|degraded"'
    rates = f"sum by (le, tier) (rate(kontext_edit_duration_seconds_bucket{{{good}}}[{RATE}]))"
    return Query(f"histogram_quantile({share}, {rates})", f"p{share * 100:.0f} {{{{tier}}}}")


NOW = Row(
    "Now",
    (
        Panel(
            title="Success, last hour",
            says="Of the edits that are ours to answer for; refusals, budgets and bad requests are the caller's.",
            kind=Kind.NUMBER,
            queries=(Query(f"1 - ({_failing('1h')})"),),
            unit=Unit.SHARE,
            width=4,
            height=4,
            runbook="KontextSuccessBurnFast",
        ),
        Panel(
            title="Burn, last hour",
            says="How many times faster than allowed the error budget of a month is used up; 1 lasts a month.",
            kind=Kind.NUMBER,
            queries=(_burn("1h"),),
            width=4,
            height=4,
            limits=(6, 14.4),
            runbook="KontextSuccessBurnFast",
        ),
        Panel(
            title="Edits in flight",
            says="Accepted and not over, on all replicas.",
            kind=Kind.NUMBER,
            queries=(Query("sum(kontext_edits_in_flight)"),),
            width=4,
            height=4,
        ),
        Panel(
            title="Spent, last hour",
            says="What providers charged.",
            kind=Kind.NUMBER,
            queries=(Query('sum(increase(kontext_cost_usd_total{tier=~"$tier"}[1h]))'),),
            unit=Unit.USD,
            width=4,
            height=4,
        ),
        Panel(
            title="Failures nobody saw, last hour",
            says="Failed attempts of edits that succeeded all the same.",
            kind=Kind.NUMBER,
            queries=(Query("sum(increase(kontext_attempts_absorbed_total[1h]))"),),
            width=4,
            height=4,
        ),
        Panel(
            title="Offers out of service",
            says="Their circuit is open, or somebody drained their provider.",
            kind=Kind.NUMBER,
            queries=(Query("sum(1 - max by (offer) (kontext_offer_available))"),),
            width=4,
            height=4,
            limits=(1, 3),
            runbook="KontextTierDown",
        ),
    ),
)

WORK = Row(
    "Edits",
    (
        Panel(
            title="Burn of the success objective",
            says="99.5 % of a month's edits succeed. A page: 14.4 over an hour; a ticket: 6 over six hours.",
            kind=Kind.LINES,
            queries=tuple(_burn(window) for window in ("5m", "1h", "6h")),
            limits=(6, 14.4),
            runbook="KontextSuccessBurnFast",
        ),
        Panel(
            title="Edits by outcome",
            says="Per minute, as they end.",
            kind=Kind.LINES,
            queries=(Query(f"60 * sum by (outcome) (rate(kontext_edits_total{{{EDITS}}}[{RATE}]))", "{{outcome}}"),),
            unit=Unit.PER_MINUTE,
            stacked=True,
        ),
        Panel(
            title="Time to a picture",
            says="From acceptance to success: half of the edits, and 95 of 100, are quicker.",
            kind=Kind.LINES,
            queries=(_quantile(0.5), _quantile(0.95)),
            unit=Unit.SECONDS,
            runbook="KontextEditsSlow",
        ),
    ),
)

FAILOVER = Row(
    "Money and failover",
    (
        Panel(
            title="Spend per hour",
            says="What providers charge, at the present pace.",
            kind=Kind.LINES,
            queries=(
                Query(f'3600 * sum by (offer) (rate(kontext_cost_usd_total{{tier=~"$tier"}}[{RATE}]))', "{{offer}}"),
            ),
            unit=Unit.USD,
            stacked=True,
        ),
        Panel(
            title="What failover saved",
            says="Failed attempts per minute of edits that succeeded: by offer, and why it failed.",
            kind=Kind.LINES,
            queries=(
                Query(
                    f"60 * sum by (offer, reason) (rate(kontext_attempts_absorbed_total[{RATE}]))",
                    "{{offer}}: {{reason}}",
                ),
            ),
            unit=Unit.PER_MINUTE,
            stacked=True,
        ),
        Panel(
            title="Fallback share",
            says="Changes to another offer per edit.",
            kind=Kind.LINES,
            queries=(
                Query(f"sum(rate(kontext_fallbacks_total[{RATE}])) / sum(rate(kontext_edits_total[{RATE}]))", "share"),
            ),
            unit=Unit.SHARE,
            limits=(0.2,),
            runbook="KontextFallbackShare",
        ),
    ),
)

DOOR = Row(
    "At the door",
    (
        Panel(
            title="Answers by status",
            says="All of HTTP, /metrics and health checks left out.",
            kind=Kind.LINES,
            queries=(
                Query(
                    "sum by (status_class) (rate(kontext_http_requests_total"
                    f'{{route!~"/metrics|/healthz|/readyz"}}[{RATE}]))',
                    "{{status_class}}",
                ),
            ),
            unit=Unit.PER_SECOND,
            width=12,
            stacked=True,
        ),
        Panel(
            title="Answers by route",
            says="A path that leads nowhere is `unmatched`.",
            kind=Kind.LINES,
            queries=(
                Query(f"sum by (route, method) (rate(kontext_http_requests_total[{RATE}]))", "{{method}} {{route}}"),
            ),
            unit=Unit.PER_SECOND,
            width=12,
        ),
    ),
)

BOARD = Board(
    uid="kontext-overview",
    title="Kontext: overview",
    says="Does it work, how fast is it, what does it cost, and what did failover save?",
    rows=(NOW, WORK, FAILOVER, DOOR),
    variables=(
        Variable("tier", "kontext_edits_total", "tier"),
        Variable("policy", "kontext_edits_total", "policy"),
    ),
)

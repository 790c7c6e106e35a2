"""*Providers*: who fails, how, how slowly, and who is left alone because of it?"""

from grafana.description import RANGE, RATE, Board, Kind, Panel, Query, Row, Unit, Variable

OFFER, PROVIDER = 'offer=~"$offer"', 'provider=~"$provider"'

ATTEMPTS = Row(
    "Attempts",
    (
        Panel(
            title="Attempts by outcome",
            says="Per minute, as they end. Everything but `done` made an edit go elsewhere, wait or end.",
            kind=Kind.LINES,
            queries=(
                Query(
                    f"60 * sum by (offer, outcome) (rate(kontext_attempts_total{{{OFFER}}}[{RATE}]))",
                    "{{offer}}: {{outcome}}",
                ),
            ),
            unit=Unit.PER_MINUTE,
            width=12,
            stacked=True,
        ),
        Panel(
            title="Time of an attempt",
            says="Every attempt that ended, from its opening.",
            kind=Kind.HEATMAP,
            queries=(
                Query(f"sum by (le) (increase(kontext_attempt_duration_seconds_bucket{{{OFFER}}}[{RATE}]))", "{{le}}"),
            ),
            unit=Unit.SECONDS,
            width=12,
        ),
    ),
)

HEALTH = Row(
    "Health",
    (
        Panel(
            title="Circuits",
            says="0 closed; 1 half open or probing; 2 open; 3 without key or credit, which only a person can cure. An "
            "account stands under its provider's name.",
            kind=Kind.STATES,
            queries=(
                Query(
                    'max by (offer) (kontext_circuit_state{state=~"half_open|probing"}'
                    ' or 2 * kontext_circuit_state{state="open"}'
                    ' or 3 * kontext_circuit_state{state=~"no_credential|no_credit"})',
                    "{{offer}}",
                ),
            ),
            width=12,
            runbook="KontextTierDown",
        ),
        Panel(
            title="Places in use",
            says="Open attempts over those that may be open at a provider. At 1, edits wait.",
            kind=Kind.LINES,
            queries=(
                Query(
                    f"max by (provider) (kontext_provider_slots_in_use{{{PROVIDER}}})"
                    f" / max by (provider) (kontext_provider_slots{{{PROVIDER}}})",
                    "{{provider}}",
                ),
            ),
            unit=Unit.SHARE,
            limits=(1,),
            width=12,
        ),
        Panel(
            title="Acceptance delay",
            says="From the submit to the provider's word that it has the work: 95 of 100 are quicker.",
            kind=Kind.LINES,
            queries=(
                Query(
                    "histogram_quantile(0.95, sum by (le, provider) "
                    f"(rate(kontext_attempt_acceptance_seconds_bucket{{{PROVIDER}}}[{RATE}])))",
                    "{{provider}}",
                ),
            ),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Polls",
            says="What they proved: `next` it goes on, `unclear` the poll itself failed.",
            kind=Kind.LINES,
            queries=(
                Query(
                    f"sum by (provider, result) (rate(kontext_polls_total{{{PROVIDER}}}[{RATE}]))",
                    "{{provider}}: {{result}}",
                ),
            ),
            unit=Unit.PER_SECOND,
        ),
        Panel(
            title="Circuit changes",
            says="Per minute, by what a circuit turned to.",
            kind=Kind.LINES,
            queries=(
                Query(
                    f"60 * sum by (offer, to) (rate(kontext_circuit_transitions_total[{RATE}]))", "{{offer}} to {{to}}"
                ),
            ),
            unit=Unit.PER_MINUTE,
        ),
        Panel(
            title="Calls of providers",
            says="That they are done: `signed`, or a hint to poll. `forged` came to an address that we never made.",
            kind=Kind.LINES,
            queries=(Query(f"60 * sum by (result) (rate(kontext_callbacks_total[{RATE}]))", "{{result}}"),),
            unit=Unit.PER_MINUTE,
            width=24,
        ),
    ),
)

SERVERS = Row(
    "Servers of one's own",
    (
        Panel(
            title="What they say they are",
            says="0 ready; 1 loading; 2 failed; 3 silent: nothing answers at its address. While a server is not ready "
            "its offers are left out.",
            kind=Kind.STATES,
            queries=(
                Query(
                    f'max by (provider) (0 * kontext_server_state{{state="ready", {PROVIDER}}} == 0'
                    f' or kontext_server_state{{state="loading", {PROVIDER}}} == 1'
                    f' or 2 * (kontext_server_state{{state="failed", {PROVIDER}}} == 1)'
                    f' or 3 * (kontext_server_state{{state="silent", {PROVIDER}}} == 1))',
                    "{{provider}}",
                ),
            ),
            width=12,
        ),
        Panel(
            title="Edits there",
            says="Those that a server works on, and those that wait in its own queue. After `overflow_after_s` "
            "of waiting new edits go elsewhere.",
            kind=Kind.LINES,
            queries=(
                Query(f"max by (provider, state) (kontext_server_edits{{{PROVIDER}}})", "{{provider}}: {{state}}"),
            ),
            width=12,
            stacked=True,
        ),
    ),
)

ROUTING = Row(
    "Routing and late truth",
    (
        Panel(
            title="Fallbacks",
            says="From whom to whom, and after which failure.",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"sum by (from_offer, to_offer, reason) (increase(kontext_fallbacks_total[{RANGE}]))",
                    "{{from_offer}} → {{to_offer}}: {{reason}}",
                ),
            ),
            runbook="KontextFallbackShare",
        ),
        Panel(
            title="Left out of plans",
            says="Why an offer that was named was not a candidate.",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"sum by (offer, reason) (increase(kontext_routing_exclusions_total{{{OFFER}}}[{RANGE}]))",
                    "{{offer}}: {{reason}}",
                ),
            ),
        ),
        Panel(
            title="Fields not sent as asked",
            says="Adjustments that callers were told of.",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"sum by (offer, field) (increase(kontext_adjustments_total{{{OFFER}}}[{RANGE}]))",
                    "{{offer}}: {{field}}",
                ),
            ),
        ),
        Panel(
            title="Held against the provider's word",
            says="What the reconciler found: anything but `matched` was booked otherwise, or is found out now.",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"sum by (provider, result) (increase(kontext_reconciliations_total{{{PROVIDER}}}[{RANGE}]))",
                    "{{provider}}: {{result}}",
                ),
            ),
            width=12,
            runbook="KontextUnresolvedOld",
        ),
        Panel(
            title="Attempts left unresolved",
            says="Nobody could tell what became of a paid submit.",
            kind=Kind.BARS,
            queries=(
                Query(f"sum by (offer) (increase(kontext_attempts_unresolved_total{{{OFFER}}}[{RANGE}]))", "{{offer}}"),
            ),
            width=12,
            runbook="KontextUnresolvedOld",
        ),
    ),
)

BOARD = Board(
    uid="kontext-providers",
    title="Kontext: providers",
    says="Who fails, how, how slowly, and who is left alone because of it?",
    rows=(ATTEMPTS, HEALTH, SERVERS, ROUTING),
    variables=(
        Variable("offer", "kontext_attempts_total", "offer"),
        Variable("provider", "kontext_provider_slots", "provider"),
    ),
)

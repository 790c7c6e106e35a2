"""*Machine room*: what limits a replica, and whether store and ledger keep up?"""

from grafana.description import RANGE, RATE, Board, Kind, Panel, Query, Row, Unit, Variable

HERE = 'instance=~"$instance"'


def _quantile(share: float, metric: str, by: str = "instance") -> Query:
    rates = f"sum by (le, {by}) (rate({metric}_bucket{{{HERE}}}[{RATE}]))"
    return Query(f"histogram_quantile({share}, {rates})", f"p{share * 100:.0f} {{{{{by}}}}}")


PROCESS = Row(
    "Process",
    (
        Panel(
            title="Event-loop lag",
            says="How much later than asked the loop wakes who sleeps. Above 100 ms something blocks it.",
            width=6,
            kind=Kind.LINES,
            queries=(
                _quantile(0.5, "kontext_event_loop_lag_seconds"),
                _quantile(0.99, "kontext_event_loop_lag_seconds"),
            ),
            unit=Unit.SECONDS,
            limits=(0.1,),
            runbook="KontextEventLoopLag",
        ),
        Panel(
            title="Clock before the store's",
            says="By which edits are dated. Away from zero, deadlines are counted wrongly.",
            width=6,
            kind=Kind.LINES,
            queries=(Query(f"kontext_clock_ahead_seconds{{{HERE}}}", "{{instance}}"),),
            unit=Unit.SECONDS,
            runbook="KontextClockOff",
        ),
        Panel(
            title="CPU",
            says="Cores in use.",
            width=6,
            kind=Kind.LINES,
            queries=(Query(f"rate(process_cpu_seconds_total{{{HERE}}}[{RATE}])", "{{instance}}"),),
        ),
        Panel(
            title="Memory",
            says="Resident, without the picture workers.",
            width=6,
            kind=Kind.LINES,
            queries=(Query(f"process_resident_memory_bytes{{{HERE}}}", "{{instance}}"),),
            unit=Unit.BYTES,
        ),
    ),
)

LOAD = Row(
    "Load",
    (
        Panel(
            title="Edits in flight, and waiting",
            says="Waiting: for a place at a provider. Many of them: raise its max_concurrency, or add an offer.",
            width=6,
            kind=Kind.LINES,
            queries=(
                Query(f"kontext_edits_in_flight{{{HERE}}}", "in flight {{instance}}"),
                Query(f"kontext_edits_waiting{{{HERE}}}", "waiting {{instance}}"),
            ),
        ),
        Panel(
            title="Age of the queue",
            says="For how long the edit that waits longest for a place has waited; bounded by [limits] queue_s.",
            kind=Kind.LINES,
            queries=(Query(f"kontext_edits_waiting_oldest_age_seconds{{{HERE}}}", "{{instance}}"),),
            unit=Unit.SECONDS,
            runbook="KontextOverloaded",
            width=6,
        ),
        Panel(
            title="Bytes in flight",
            says="Held: requests and pictures, against picture_bytes. Unanswered: bodies received, files among them.",
            width=6,
            kind=Kind.LINES,
            queries=(
                Query(f"kontext_picture_bytes_held{{{HERE}}}", "held {{instance}}"),
                Query(f"kontext_http_request_bytes_in_flight{{{HERE}}}", "unanswered {{instance}}"),
            ),
            unit=Unit.BYTES,
            runbook="KontextOverloaded",
        ),
        Panel(
            title="Picture workers",
            says="Pictures that are looked at, and that wait for a worker.",
            width=6,
            kind=Kind.LINES,
            queries=(Query(f"kontext_picture_jobs{{{HERE}}}", "{{state}} {{instance}}"),),
        ),
        Panel(
            title="Refused for want of room",
            says="By what there was too much of. Each was told when to come again.",
            kind=Kind.LINES,
            queries=(Query(f"60 * sum by (reason) (rate(kontext_refusals_total{{{HERE}}}[{RATE}]))", "{{reason}}"),),
            unit=Unit.PER_MINUTE,
            runbook="KontextOverloaded",
            width=6,
        ),
        Panel(
            title="Callers gone",
            says="Before their answer. Unaccepted and queued edits were dropped for nothing; an accepted one goes on.",
            kind=Kind.LINES,
            queries=(Query(f"60 * sum by (at) (rate(kontext_callers_gone_total{{{HERE}}}[{RATE}]))", "{{at}}"),),
            unit=Unit.PER_MINUTE,
            width=6,
        ),
        Panel(
            title="Open files",
            says="Connections are among them.",
            width=6,
            kind=Kind.LINES,
            queries=(Query(f"process_open_fds{{{HERE}}}", "{{instance}}"),),
        ),
        Panel(
            title="Edits taken over",
            says="From a replica that was gone, or a path that broke off.",
            width=6,
            kind=Kind.LINES,
            queries=(
                Query(
                    f"60 * sum by (instance) (rate(kontext_edit_recoveries_total{{{HERE}}}[{RATE}]))", "{{instance}}"
                ),
            ),
            unit=Unit.PER_MINUTE,
        ),
    ),
)

WEBHOOKS = Row(
    "Webhooks",
    (
        Panel(
            title="Webhooks: tries",
            says="By what came of them. A receiver that is down is tried for three days, and then given up.",
            kind=Kind.LINES,
            queries=(
                Query(f"60 * sum by (result) (rate(kontext_webhook_deliveries_total{{{HERE}}}[{RATE}]))", "{{result}}"),
            ),
            unit=Unit.PER_MINUTE,
        ),
        Panel(
            title="Webhooks: lateness",
            says="For how long the delivery that waits longest has been due.",
            kind=Kind.LINES,
            queries=(Query("max(kontext_webhook_lateness_seconds)", "late"),),
            unit=Unit.SECONDS,
            limits=(120,),
            runbook="KontextWebhooksLate",
        ),
        Panel(
            title="Webhook endpoints disabled",
            says="They took nothing, and are told nothing any more until their team enables them.",
            kind=Kind.LINES,
            queries=(Query("max(kontext_webhook_endpoints_disabled)", "disabled"),),
            limits=(1,),
            runbook="KontextWebhookDisabled",
        ),
    ),
)

RETENTION = Row(
    "Retention",
    (
        Panel(
            title="Pictures deleted",
            says="Their time was over, or their caller erased them.",
            width=6,
            kind=Kind.LINES,
            queries=(Query(f"60 * sum by (why) (rate(kontext_pictures_deleted_total{{{HERE}}}[{RATE}]))", "{{why}}"),),
            unit=Unit.PER_MINUTE,
        ),
        Panel(
            title="Prompts dropped",
            says="Edits whose prompt and calls were taken out: their time was over, or their caller erased them.",
            width=6,
            kind=Kind.LINES,
            queries=(Query(f"60 * sum(rate(kontext_prompts_dropped_total{{{HERE}}}[{RATE}]))", "prompts"),),
            unit=Unit.PER_MINUTE,
        ),
        Panel(
            title="Bytes deleted",
            says="The pictures' bytes, by why they went.",
            width=6,
            kind=Kind.BARS,
            queries=(
                Query(f"sum by (why) (increase(kontext_picture_bytes_deleted_total{{{HERE}}}[{RANGE}]))", "{{why}}"),
            ),
            unit=Unit.BYTES,
        ),
        Panel(
            title="Last whole sweep",
            says="Since everything whose time was over had been deleted. It is tried once a minute.",
            width=6,
            kind=Kind.LINES,
            queries=(Query("max(kontext_sweep_age_seconds)", "age"),),
            unit=Unit.SECONDS,
            limits=(21_600,),
            runbook="KontextRetentionBehind",
        ),
    ),
)

CONFIGURATION = Row(
    "Configuration",
    (
        Panel(
            title="Configurations in use",
            says="Replicas by the revision that they run. More than one for long: see the runbook.",
            kind=Kind.LINES,
            queries=(Query("count by (revision) (kontext_build_info)", "{{revision}}"),),
            runbook="KontextRevisionsDiffer",
        ),
        Panel(
            title="Files read",
            says="Changed configurations, by what became of them: a refused one leaves the former in force.",
            kind=Kind.BARS,
            queries=(
                Query(f"sum by (result) (increase(kontext_config_reloads_total{{{HERE}}}[{RANGE}]))", "{{result}}"),
            ),
            runbook="KontextReloadRefused",
        ),
        Panel(
            title="Age of the configuration",
            says="Since a replica took the file that it runs.",
            kind=Kind.LINES,
            queries=(
                Query(f"time() - kontext_config_last_reload_success_timestamp_seconds{{{HERE}}}", "{{instance}}"),
            ),
            unit=Unit.SECONDS,
            runbook="KontextRevisionsDiffer",
        ),
    ),
)

BOOKS = Row(
    "Store and ledger",
    (
        Panel(
            title="Round trip to the store",
            says="Tried every few seconds.",
            kind=Kind.LINES,
            queries=(
                _quantile(0.5, "kontext_store_round_trip_seconds"),
                _quantile(0.99, "kontext_store_round_trip_seconds"),
            ),
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Store errors",
            says="Steps that the store did not take, by what was then not done. Money fails closed meanwhile.",
            kind=Kind.LINES,
            queries=(Query(f"sum by (duty) (rate(kontext_store_errors_total{{{HERE}}}[{RATE}]))", "{{duty}}"),),
            unit=Unit.PER_SECOND,
            runbook="KontextStoreErrors",
        ),
        Panel(
            title="Result store errors",
            says="Pictures that the result store did not take or give, by what was then not done.",
            kind=Kind.LINES,
            queries=(Query(f"sum by (duty) (rate(kontext_results_errors_total{{{HERE}}}[{RATE}]))", "{{duty}}"),),
            unit=Unit.PER_SECOND,
            runbook="KontextResultsErrors",
        ),
        Panel(
            title="Ledger: rows behind",
            says="In the store's outbox, not in the ledger yet. They wait safely.",
            kind=Kind.LINES,
            queries=(
                Query("max(kontext_ledger_backlog_rows)", "behind"),
                Query("max(kontext_ledger_rows_aside)", "set aside"),
            ),
            runbook="KontextLedgerBehind",
        ),
        Panel(
            title="Ledger: age of the oldest row behind",
            says="Finance sees spending this late.",
            kind=Kind.LINES,
            queries=(Query("max(kontext_ledger_backlog_age_seconds)", "age"),),
            unit=Unit.SECONDS,
            limits=(300,),
            runbook="KontextLedgerBehind",
        ),
        Panel(
            title="Ledger errors",
            says="Times that rows could not be brought over.",
            kind=Kind.LINES,
            queries=(
                Query(f"sum by (instance) (rate(kontext_ledger_errors_total{{{HERE}}}[{RATE}]))", "{{instance}}"),
            ),
            unit=Unit.PER_SECOND,
            runbook="KontextLedgerBehind",
        ),
    ),
)

BOARD = Board(
    uid="kontext-machine-room",
    title="Kontext: machine room",
    says="What limits a replica, and whether store and ledger keep up?",
    rows=(PROCESS, LOAD, BOOKS, WEBHOOKS, RETENTION, CONFIGURATION),
    variables=(Variable("instance", "kontext_edits_in_flight", "instance"),),
)

"""The fault points: each with what must come of it, and where that is proven."""

from msgspec import Struct


class FaultPoint(Struct, frozen=True):
    """`proven`: tests by file and name (a file alone: all of it)."""

    words: str
    expected: str
    proven: tuple[str, ...]


DEATHS, SLEEPS, STORE = "faults/test_deaths.py", "faults/test_sleepers.py", "faults/test_store_trouble.py"
_DEATH = f"{DEATHS}::test_another_gateway_ends_what_the_dead_one_began"
_PAIRS = "faults/test_pairs.py::test_two_faults_on_one_submit_buy_once"
HOOKS = "faults/test_webhook_deaths.py"
_CONNECTION = "state/test_store_connection.py"

FAULT_POINTS: dict[str, FaultPoint] = {
    "F1": FaultPoint(
        "before the job is durable",
        "no answer, no reservation; a retry with the key makes one job",
        (_DEATH, f"{DEATHS}::test_what_died_before_it_was_durable_left_no_hold"),
    ),
    "F2": FaultPoint("job durable, 202 not delivered", "a retry with the key returns that job", (_DEATH,)),
    "F3": FaultPoint("after reserve, before intent", "recovery submits once", (_DEATH, _PAIRS)),
    "F4": FaultPoint("after intent, before the post", "Runware: once; Runflow: unresolved", (_DEATH, _PAIRS)),
    "F5": FaultPoint("during the post, body half sent", "resolved; one bill entry at most", (_DEATH, _PAIRS)),
    "F6": FaultPoint(
        "accepted, answer lost", "conflict, accepted, paid once", (_DEATH, _PAIRS, "end_to_end/test_lost_answers.py")
    ),
    "F7": FaultPoint("accepted only after we gave up", "found later; paid once", (_DEATH, _PAIRS)),
    "F8": FaultPoint("accepted, invisible to polls", "not resubmitted under a new id", (_DEATH, _PAIRS)),
    "F9": FaultPoint("after the answer, before recording it", "paid once", (_DEATH, _PAIRS)),
    "F10": FaultPoint(
        "paused past its lease, another takes over, the first wakes",
        "fenced out; one submit, one settle",
        (
            f"{SLEEPS}::test_who_slept_past_its_lease_is_fenced_and_buys_nothing",
            "engine_path/test_crashes.py::test_an_owner_that_only_slept_is_fenced_and_writes_nothing_more",
        ),
    ),
    "F11": FaultPoint("while polling", "another replica goes on", (_DEATH, _PAIRS)),
    "F12": FaultPoint("result seen, before settle", "settled once", (_DEATH, _PAIRS)),
    "F13": FaultPoint("settled, before publish", "done, charged once", (_DEATH, _PAIRS)),
    "F14": FaultPoint(
        "published, before the webhook",
        "sent at least once, same id",
        (
            f"{HOOKS}::test_what_was_not_told_yet_is_told_by_another_gateway",
            "state/test_deliveries.py::test_what_is_lent_is_nobody_elses_until_the_loan_ends",
        ),
    ),
    "F15": FaultPoint(
        "during the webhook",
        "repeated with the same id, new timestamp",
        (f"{HOOKS}::test_what_may_have_been_told_is_told_again_with_the_same_id_and_a_new_time",),
    ),
    "F16": FaultPoint(
        "result download fails, or its address expired",
        "fetched again; never bought again",
        (_DEATH, "end_to_end/test_delivered_pictures.py"),
    ),
    "F17": FaultPoint(
        "the store restarts",
        "nothing lost, nothing doubled",
        (f"{STORE}::test_a_killed_store_loses_no_edit", "faults/test_store_by_url.py"),
    ),
    "F18": FaultPoint(
        "the store fails over and loses its last writes",
        "a retry leads to the same task id and a conflict",
        (f"{STORE}::test_a_retry_after_lost_writes_is_not_paid_again",),
    ),
    "F19": FaultPoint(
        "a reply of the store is lost after execution",
        "the repetition does nothing",
        (f"{_CONNECTION}::test_replies_lost_all_the_time_leave_no_drift", "faults/test_lost_acceptance.py"),
    ),
    "F20": FaultPoint(
        "the store is slow, full or read-only",
        "shed; no unreserved submit",
        (
            f"{STORE}::test_a_store_that_stands_still_for_a_while_loses_nothing",
            f"{_CONNECTION}::test_a_store_without_room_or_right_to_write_takes_nothing_and_says_so",
        ),
    ),
    "F21": FaultPoint(
        "a budget lowered while jobs run",
        "running jobs settle; new ones are refused",
        ("faults/test_lowered_budget.py",),
    ),
    "F22": FaultPoint(
        "the clock jumps by an hour",
        "no early release, no expired keys",
        ("faults/test_clock_jumps.py",),
    ),
    "F23": FaultPoint(
        "reload, rolling restart",
        "no lost job",
        ("engine_path/test_reloaded.py", "end_to_end/test_reload.py", "newcomer/test_walk.py", f"{SLEEPS}"),
    ),
    "F24": FaultPoint("SIGTERM with many edits in flight", "handed over; none lost", ("faults/test_sigterm.py",)),
    "F25": FaultPoint(
        "another task's data",
        "ignored",
        (
            "engine_path/test_resolving.py::test_another_tasks_picture_is_not_ours",
            f"{DEATHS}::test_another_gateway_ends_what_the_dead_one_began",
        ),
    ),
    "F26": FaultPoint(
        "a provider's webhook twice, forged or early",
        "confirmed by a poll; the state changes once",
        (
            "callbacks/test_callbacks_in.py::test_early_repeated_and_late_calls_change_nothing",
            "callbacks/test_callbacks_in.py::test_a_made_up_address_is_turned_away_before_anything_is_done",
            "engine_path/test_callbacks_heard.py",
        ),
    ),
    "F27": FaultPoint("the disk is full", "logs degrade, money does not", ("faults/test_full_disk.py",)),
    "F28": FaultPoint(
        "two replicas recover the same job",
        "one claim wins",
        (_DEATH, "engine_path/test_crashes.py::test_of_two_replicas_that_recover_the_same_edit_one_wins"),
    ),
}

"""A server's own word: what of it is believed, how long an edit waits there, and whose engine it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from offers_on_sale import DAY, PREVIEW, PRO, edit

from adapters.contract import HttpReply, Load, ServerState, Steps, Tier
from adapters.openai_images_load import load as read
from policies.facts import Facts, OfferFacts
from policies.load import NOT_READY_WORDS, loaded, not_its_engine, wait_s
from policies.plans import Plan, plan
from policies.policy import Policy
from policies.reasons import Reason
from policies.wishes import Wishes

GPU = structs.replace(PREVIEW, model="kontext-dev", tier=Tier.DRAFT, usual_s=30.0, overflow_after_s=20.0)
CLOUD = structs.replace(PRO, tier=Tier.DRAFT, overflow_after_s=None)
SHOP = {GPU.name: GPU, CLOUD.name: CLOUD}
OWN_FIRST = Policy(name="own", tier=Tier.DRAFT, offers=(GPU.name, CLOUD.name))
LOADING, READY, FAILED, SILENT = ServerState.LOADING, ServerState.READY, ServerState.FAILED, ServerState.SILENT

loads = st.builds(
    Load,
    state=st.sampled_from(ServerState),
    running=st.none() | st.integers(0, 8),
    waiting=st.integers(0, 50),
    edit_s=st.none() | st.floats(0.1, 600),
)
counts, seconds = st.integers(0, 50), st.floats(0.1, 600)


def told(load: Load | None, queued: int = 0, **facts: object) -> OfferFacts:
    return loaded(structs.replace(OfferFacts(limit=4), **facts), GPU, load, queued=queued)


def planned(known: OfferFacts, policy: Policy = OWN_FIRST, cloud: OfferFacts | None = None, **wish: object) -> Plan:
    wishes = structs.replace(Wishes(tier=Tier.DRAFT, deadline_s=600), **wish)
    facts = Facts(day=DAY, offers={GPU.name: known, CLOUD.name: cloud or OfferFacts()})
    return plan(edit(), wishes, policy, SHOP, facts)


def names(made: Plan) -> list[str]:
    return [one.offer for one in made.candidates]


# --- what is believed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"status": "ready", "engine": "kontext-dev", "queue": {"running": 1, "waiting": 3, "limit": 8},
               "seconds_per_edit": 9.5}, Load(engine="kontext-dev", running=1, waiting=3, limit=8, edit_s=9.5)),
        (200, {"status": "ready", "edits": {"7c": {"state": "running", "step": 3, "steps": 28},
                                            "7d": {"state": "waiting", "step": 0, "steps": 28}, "..": {"step": 1},
                                            "7e": {"step": 9, "steps": 8}, "7f": None, "a b": {"step": 1, "steps": 2}}},
         Load(steps={"7c": Steps(3, 28), "7d": Steps(0, 28)})),
        (503, {"status": "loading", "engine": "kontext-dev", "seconds_per_edit": None},
         Load(state=LOADING, engine="kontext-dev")),
        (200, {"status": "failed"}, Load(state=FAILED)),
        (200, {"status": "ok", "engine": "preview"}, Load(engine="preview")),
        (200, {"status": "ok"}, Load()),
        (200, None, Load()),
        (503, None, Load(state=FAILED)),
        (404, {"detail": "Not Found"}, None),
        (401, {"error": "no"}, None),
        (200, {"status": "ready", "queue": {"running": -1, "waiting": True, "limit": "8"}, "seconds_per_edit": 0},
         Load()),
    ],
)  # fmt: skip
def test_each_servers_word_is_read(status: int, body: object, expected: Load | None) -> None:
    raw = b"" if body is None else json.dumps(body).encode()
    assert read(HttpReply(status, {}, raw)) == expected


@given(st.integers(100, 599), st.binary(max_size=60) | st.from_type(object).map(repr).map(str.encode))
def test_whatever_is_said_is_read_or_left(status: int, body: bytes) -> None:
    said = read(HttpReply(status, {}, body))
    assert said is None or said.waiting >= 0


# --- how long an edit waits ---------------------------------------------------------------------------------------


@given(loads, counts, counts, counts, seconds)
def test_more_edits_ahead_never_wait_less(load: Load, in_use: int, queued: int, more: int, edit_s: float) -> None:
    less = wait_s(load, in_use=in_use, limit=4, queued=queued, edit_s=edit_s)
    assert 0 <= less <= wait_s(load, in_use=in_use + more, limit=4, queued=queued, edit_s=edit_s) + 1e-9
    assert less <= wait_s(load, in_use=in_use, limit=4, queued=queued + more, edit_s=edit_s)


@given(loads.filter(lambda load: load.running is None), seconds)
def test_where_a_place_is_free_nobody_waits(load: Load, edit_s: float) -> None:
    assert wait_s(load, in_use=3, limit=4, queued=0, edit_s=edit_s) == 0
    assert wait_s(None, in_use=3, limit=4, queued=0, edit_s=edit_s) == 0


@pytest.mark.parametrize(
    ("load", "in_use", "queued", "expected_s"),
    [
        (Load(running=0), 0, 0, 0),
        (Load(running=1), 1, 0, 5),
        (Load(running=1, waiting=3), 4, 0, 35),
        (Load(running=0), 3, 0, 25),  # sent since it was asked
        (Load(running=4, waiting=4), 8, 0, 15),  # four at once
        (Load(running=1), 1, 2, 25),
        (Load(), 4, 1, 7.5),  # a server that tells no queue
        (None, 4, 0, 5),
    ],
)
def test_the_wait_is_the_work_ahead(load: Load | None, in_use: int, queued: int, expected_s: float) -> None:
    assert wait_s(load, in_use=in_use, limit=4, queued=queued, edit_s=10.0) == expected_s


def test_the_servers_own_seconds_come_before_what_was_measured_with_its_queue() -> None:
    known = told(Load(running=1, edit_s=8.0), usual_s=50.0, p95_s=90.0)
    assert (known.usual_s, known.p95_s, known.wait_s) == (8.0, None, 4.0)
    assert told(Load(running=1), usual_s=50.0, p95_s=90.0).p95_s == 90.0


# --- what a plan makes of it --------------------------------------------------------------------------------------


def test_an_edit_goes_to_the_own_machine_until_the_wait_is_too_long_and_back_again() -> None:
    for waiting, first in ((0, GPU), (1, GPU), (2, CLOUD), (9, CLOUD), (1, GPU)):
        made = planned(told(Load(running=1, waiting=waiting, edit_s=10.0)))
        assert names(made)[0] == first.name
    exclusion = planned(told(Load(running=1, waiting=9, edit_s=10.0))).exclusions[0]
    assert exclusion.reason is Reason.OVERFLOW
    assert exclusion.detail == "an edit waits 95 s there, longer than the 20 s after which edits go elsewhere"


@pytest.mark.parametrize(
    ("provider_s", "policy_s", "over"), [(20, None, True), (20, 60.0, False), (None, 20, True), (None, None, False)]
)
def test_the_policys_patience_comes_before_the_providers(
    provider_s: float | None, policy_s: float | None, over: bool
) -> None:
    gpu = structs.replace(GPU, overflow_after_s=provider_s)
    policy = Policy(name="own", tier=Tier.DRAFT, offers=(GPU.name, CLOUD.name), overflow_after_s=policy_s)
    known = told(Load(running=1, waiting=3, edit_s=10.0))
    facts = Facts(day=DAY, offers={GPU.name: known})
    made = plan(edit(), Wishes(tier=Tier.DRAFT), policy, {GPU.name: gpu, CLOUD.name: CLOUD}, facts)
    assert (names(made)[0] == CLOUD.name) is over


def test_a_patience_of_a_policy_is_for_machines_of_ones_own_alone() -> None:
    policy = Policy(name="own", tier=Tier.DRAFT, offers=(GPU.name, CLOUD.name), overflow_after_s=1.0)
    assert CLOUD.name in names(planned(told(Load(running=0)), policy, OfferFacts(queue_s=100.0, wait_s=100.0)))


def test_where_nobody_else_can_take_it_a_long_queue_is_better_than_nothing() -> None:
    long = told(Load(running=1, waiting=9, edit_s=10.0))
    made = planned(long, cloud=OfferFacts(disabled="drained"))
    assert names(made) == [GPU.name]
    assert not made.candidates[0].spared


@pytest.mark.parametrize("state", NOT_READY_WORDS)
def test_a_server_that_is_not_ready_is_left_out_with_its_reason(state: ServerState) -> None:
    made = planned(told(Load(state=state)))
    assert names(made) == [CLOUD.name]
    assert (made.exclusions[0].reason, made.exclusions[0].detail) == (Reason.NOT_READY, NOT_READY_WORDS[state])


def test_a_server_that_loads_is_waited_for_where_nothing_else_is_and_one_that_failed_is_not() -> None:
    nothing_else = OfferFacts(disabled="drained")
    loading = planned(told(Load(state=LOADING)), cloud=nothing_else)
    assert [(one.offer, one.spared) for one in loading.candidates] == [(GPU.name, True)]
    for state in (FAILED, SILENT):
        assert names(planned(told(Load(state=state)), cloud=nothing_else)) == []


def test_the_wait_counts_for_the_deadline() -> None:
    known = told(Load(running=1, waiting=1, edit_s=10.0))
    assert names(planned(known, deadline_s=25)) == [GPU.name, CLOUD.name]
    late = planned(known, deadline_s=24.9)
    assert [(one.offer, one.reason) for one in late.exclusions] == [(GPU.name, Reason.TOO_SLOW)]


@given(loads, counts, counts, st.booleans())
def test_a_long_queue_never_empties_a_plan(load: Load, in_use: int, queued: int, alone: bool) -> None:
    known = told(structs.replace(load, state=READY), queued, in_use=in_use)
    made = planned(known, deadline_s=1e9, cloud=OfferFacts(disabled="drained") if alone else None)
    assert made.candidates
    assert names(made) == [GPU.name] if alone else CLOUD.name in names(made)


# --- whose engine it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offer_engine", "said", "sold"),
    [
        ("preview", Load(engine="preview"), True),
        ("preview", Load(engine="kontext-dev"), False),
        ("preview", Load(), False),
        ("preview", None, False),
        (None, Load(engine="preview"), False),
        (None, Load(engine="kontext-dev"), True),
        (None, Load(), True),
        (None, None, True),
    ],
)
def test_the_preview_stands_for_no_model_and_no_model_for_it(
    offer_engine: str | None, said: Load | None, sold: bool
) -> None:
    assert (not_its_engine(structs.replace(GPU, engine=offer_engine), said) is None) is sold

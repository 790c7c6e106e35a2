"""What every adapter promises, held against every adapter in the registry and every offer in the catalogue.

Replies are random, but not blindly: they are built from the words of the adapter's own golden cases, with the ids that
the call named echoed back, so that they get past the first check and deep into `read`.
"""

import importlib
import json
import math
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.contract import (
    Adapter,
    Attempt,
    AutoSize,
    Done,
    Edit,
    Failed,
    HttpCall,
    HttpReply,
    ImageFormat,
    Json,
    ModelSize,
    Next,
    Offer,
    Outcome,
    Picture,
    Pixels,
    Ratio,
    Step,
    Tier,
    Unclear,
)
from adapters.fit import Fit, fit
from adapters.options import Options
from adapters.registry import REGISTRY, check, make
from gateway.catalogue import ModelOverlay, offers, read_catalogue

ADAPTERS = Path(__file__).parents[2] / "adapters"
GOLDEN = Path(__file__).parent / "golden"
CATALOGUE = {file.stem: read_catalogue(file.stem) for file in sorted((ADAPTERS / "catalogue").glob("*.toml"))}
CREDENTIALS = {"authorization", "proxy-authorization", "cookie", "api-key", "x-api-key"}
PATIENCE_S = 120  # what the engine gives to learning what became of a lost answer
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


# --- offers, edits, attempts ----------------------------------------------------------------------------------------


SHIPPED = [offer for name, file in CATALOGUE.items() for offer in offers(name, file, {}, billed=file.billed)]
OWN = [  # of models that only a configuration names
    offer
    for name, file in CATALOGUE.items()
    if file.own
    for offer in offers(
        name, file, {"own": ModelOverlay(id="own-1", tier=Tier.STANDARD, price_usd="0.05")}, billed=file.billed
    )
    if offer.model == "own"
]
OFFERS = [*SHIPPED, *OWN]
each_offer = pytest.mark.parametrize("offer", [pytest.param(offer, id=offer.name) for offer in OFFERS])


def adapter_of(offer: Offer) -> Adapter:
    return make(CATALOGUE[offer.provider].adapter, CATALOGUE[offer.provider].settings)


PICTURES = st.builds(
    Picture,
    digest=st.sampled_from(["a" * 64, "b" * 64]),
    format=st.sampled_from(ImageFormat),
    width=st.integers(64, 4096),
    height=st.integers(64, 4096),
    bytes=st.sampled_from([1_000, 500_000, 5_000_000]),
)


def attempts(offer: Offer) -> st.SearchStrategy[Attempt]:
    """Attempts at edits that the offer can take, with any of its dials."""
    can = offer.abilities
    none = st.none()
    edits = st.builds(
        Edit,
        prompt=st.just("Make the mug blue"),
        images=st.lists(PICTURES, min_size=1, max_size=can.images).map(tuple),
        mask=none | PICTURES if can.mask else none,
        size=st.sampled_from([AutoSize(), Ratio(16, 9), ModelSize(), Pixels(1024, 512)]),
        n=st.integers(1, can.n),
        seed=none | st.integers(0, 2**32),
        guidance=none | st.floats(0, 30),
        steps=none | st.integers(1, 60),
        negative_prompt=none | st.just("people"),
        safety=none if can.safety is None else none | st.integers(int(can.safety.least), int(can.safety.most)),
        flag_nsfw=st.booleans(),
        enhance_prompt=st.sampled_from([None, True, False]),
        output_format=st.sampled_from(ImageFormat),
    )
    fitting = edits.filter(lambda edit: isinstance(fit(edit, offer), Fit))
    ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
    callbacks = none | st.just("https://gw.example/callbacks/x/t")
    return st.builds(
        Attempt, id=ids, number=st.integers(1, 4), edit=fitting, offer=st.just(offer), callback_url=callbacks
    )


# --- replies --------------------------------------------------------------------------------------------------------


def documents(value: Any) -> list[Any]:
    """Every JSON object inside a golden case, the whole one too."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict) else []
    return own + [found for item in inside for found in documents(item)]


def echo(value: Any, named: dict[str, Any]) -> Any:
    """A reply about this call: where it names something that the call named too, it is the same thing."""
    if isinstance(value, list):
        return [echo(item, named) for item in value]
    if isinstance(value, dict):
        return {key: named.get(key, echo(item, named)) for key, item in value.items()}
    return value


def named_by(call: HttpCall) -> dict[str, Any]:
    named: dict[str, Any] = dict(call.carry)
    if isinstance(call.body, Json):
        for document in documents(json.loads(call.body.text)):
            named |= {key: item for key, item in document.items() if isinstance(item, str)}
    return named | ({"id": named["run_id"]} if "run_id" in named else {})


def golden_documents(name: str) -> list[Any]:
    """Every object of every golden reply, once."""
    cases = [json.loads(file.read_text()) for file in sorted((GOLDEN / name / "replies").glob("*.json"))]
    found = [document for case in cases for document in documents(case["reply"]["body"])]
    return list({json.dumps(document, sort_keys=True): document for document in found}.values())


GOLDEN_DOCUMENTS = {name: golden_documents(name) for name in REGISTRY}


def replies(name: str, call: HttpCall) -> st.SearchStrategy[HttpReply]:
    golden = GOLDEN_DOCUMENTS[name]
    keys = st.sampled_from(sorted({key for document in golden for key in document})) | st.text(max_size=5)
    words = st.sampled_from(sorted({v for document in golden for v in document.values() if isinstance(v, str)}))
    scalars = words | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    values = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=12
    )
    changed = st.builds(lambda document, key, value: {**document, key: value}, st.sampled_from(golden), keys, values)
    about_us = (changed | st.sampled_from(golden)).map(lambda document: echo(document, named_by(call)))
    whole = (about_us | about_us.map(lambda one: {"data": [one]}) | about_us.map(lambda one: [one]) | values).map(
        lambda document: json.dumps(document).encode()
    )
    statuses = st.sampled_from(
        [200, 200, 200, 201, 302, 400, 401, 402, 403, 404, 409, 422, 429, 500, 503]
    ) | st.integers(100, 599)
    headers = st.dictionaries(
        st.just("retry-after"), st.sampled_from(["1", "9" * 400, "-1", "soon", "²", ""]), max_size=1
    )
    return st.builds(HttpReply, statuses, headers, whole | st.binary(max_size=40))


def golden_replies(offer: Offer, call: HttpCall) -> list[HttpReply]:
    about_us = [echo(document, named_by(call)) for document in GOLDEN_DOCUMENTS[CATALOGUE[offer.provider].adapter]]
    bodies = [json.dumps(form).encode() for one in about_us for form in (one, [one], {"data": [one]})]
    return [HttpReply(status, {}, body) for body in bodies for status in (200, 400, 422, 503)]


def a_plain_attempt(offer: Offer) -> Attempt:
    edit = Edit(prompt="Make it blue", images=(Picture("a" * 64, ImageFormat.PNG, 1024, 1024, 5_000_000),))
    return Attempt(id="7c" * 16, number=1, edit=edit, offer=offer)


@cache
def reached(offer: Offer) -> list[HttpCall]:
    """One call of each kind that golden replies lead to, from a submit (inline or after an upload) and from every way
    to recover. A kind is a step with the names that it carries."""
    adapter, attempt = adapter_of(offer), a_plain_attempt(offer)
    small = msgspec.structs.replace(attempt.edit, images=(msgspec.structs.replace(attempt.edit.images[0], bytes=1000),))
    starts = [adapter.submit(attempt), adapter.submit(msgspec.structs.replace(attempt, edit=small))]
    starts += [way for tried in range(4) if (way := adapter.recover(attempt, tried))]
    waiting, found = [start.call for start in starts], dict[object, HttpCall]()
    while waiting:
        call = waiting.pop()
        kind = (call.step, call.method, call.carry.get("upload"), *sorted(call.carry))
        if kind in found:
            continue
        found[kind] = call
        outcomes = [adapter.read(attempt, call, reply) for reply in golden_replies(offer, call)]
        waiting += [outcome.call for outcome in outcomes if isinstance(outcome, Next)]
    return list(found.values())


def check_call(call: HttpCall) -> None:
    """What is stored comes back the same; no call shows a credential, and none lets ours go to another server."""
    assert msgspec.json.decode(msgspec.json.encode(call), type=HttpCall) == call
    assert not {header.lower() for header, _ in call.headers} & CREDENTIALS
    if isinstance(call.body, Json):
        assert not {"apiKey", "api_key", "token"} & {
            key for one in documents(json.loads(call.body.text)) for key in one
        }
    if not call.url.startswith(("https://", "http://")):
        assert urlsplit(urljoin("https://provider.example/base/", call.url)).netloc == "provider.example"
    else:
        assert not call.step.may_cost, "what costs money goes to the provider's own base"


def check_outcome(outcome: Outcome) -> None:
    assert isinstance(outcome, (Done, Next, Failed, Unclear))
    if isinstance(outcome, (Failed, Unclear)):
        assert 0 < len(outcome.message) < 300
    if isinstance(outcome, Failed):
        assert outcome.retry_after is None or 0 <= outcome.retry_after < math.inf
    if isinstance(outcome, Next):
        check_call(outcome.call)
        assert 0 <= outcome.after < math.inf
        assert 0 <= outcome.guard < math.inf
        if outcome.partial:
            check_outcome(outcome.partial)
    if isinstance(outcome, (Done, Failed)):
        assert outcome.cost_micro is None or outcome.cost_micro > 0, "a zero is not a price"
    if isinstance(outcome, Done):
        assert outcome.pictures
        if outcome.refresh:
            check_call(outcome.refresh)
            assert not outcome.refresh.step.may_cost


# --- the promises ---------------------------------------------------------------------------------------------------


@each_offer
@FEW
@given(data=st.data())
def test_submit_is_the_same_each_time_and_fit_to_store(offer, data):
    attempt = data.draw(attempts(offer))
    first = adapter_of(offer).submit(attempt)
    assert first == adapter_of(offer).submit(attempt)
    assert first.call.step in (Step.SUBMIT, Step.UPLOAD)
    check_outcome(first)


@pytest.mark.parametrize(
    "offer", list({CATALOGUE[offer.provider].adapter: offer for offer in OFFERS}.values()), ids=lambda offer: offer.name
)
def test_read_takes_every_golden_document_anywhere(offer):
    """Also where it does not belong: a run as the answer to an upload, an error with status 200."""
    adapter, attempt = adapter_of(offer), a_plain_attempt(offer)
    for call in reached(offer):
        for reply in golden_replies(offer, call):
            check_outcome(adapter.read(attempt, call, reply))


@each_offer
@FEW
@given(data=st.data())
def test_read_takes_whatever_comes(offer, data):
    adapter, attempt = adapter_of(offer), a_plain_attempt(offer)
    call = data.draw(st.sampled_from(reached(offer)))
    reply = data.draw(replies(CATALOGUE[offer.provider].adapter, call))
    outcome = adapter.read(attempt, call, reply)
    assert outcome == adapter.read(attempt, call, reply)
    check_outcome(outcome)


@each_offer
@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"", b"NaN", b'{"cost": 1e999999999}']
)
def test_read_takes_hostile_bodies(offer, body):
    adapter, attempt = adapter_of(offer), a_plain_attempt(offer)
    for call in reached(offer):
        check_outcome(adapter.read(attempt, call, HttpReply(200, {}, body)))


@each_offer
@FEW
@given(data=st.data())
def test_recover_ends_or_is_patient(offer, data):
    """A hundred ways are either not there, or take longer than anybody waits: no loop without a pause."""
    adapter, attempt = adapter_of(offer), data.draw(attempts(offer))
    ways = [adapter.recover(attempt, tried) for tried in range(100)]
    given_up = ways.index(None) if None in ways else len(ways)
    assert all(way is None for way in ways[given_up:])
    taken = [way for way in ways[:given_up] if way]
    for way in taken:
        check_outcome(way)
        assert way.call.step in (Step.POLL, Step.LOOK_UP, Step.RESUBMIT), "never a second first submit"
    assert given_up < 100 or sum(way.after + way.guard for way in taken) > PATIENCE_S


# --- the map --------------------------------------------------------------------------------------------------------


def defines_an_adapter(module: str) -> bool:
    loaded = importlib.import_module(f"adapters.{module}")
    own = [value for value in vars(loaded).values() if isinstance(value, type) and value.__module__ == loaded.__name__]
    return any(hasattr(one, "submit") and hasattr(one, "read") for one in own)


def test_registry_files_catalogue_and_golden_folders_agree():
    files = {file.stem for file in ADAPTERS.glob("*.py") if file.stem not in ("__init__", "contract")}
    assert {file for file in files if defines_an_adapter(file)} == set(REGISTRY)
    assert {file.adapter for file in CATALOGUE.values()} == set(REGISTRY)
    assert {folder.name for folder in GOLDEN.iterdir()} == set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_golden_case_names_its_source(name):
    files = sorted((GOLDEN / name).rglob("*.json"))
    assert files
    assert [file.name for file in files if not json.loads(file.read_text()).get("source")] == []


@pytest.mark.parametrize("offer", [pytest.param(offer, id=offer.name) for offer in SHIPPED])
def test_what_is_billed_has_a_dated_price_with_its_source(offer):
    assert bool(offer.prices) == offer.billed
    for price in offer.prices:
        assert price.micro_usd > 0
        assert price.source.startswith("https://")


@each_offer
def test_every_dial_is_an_option(offer):
    known = {
        f"{provider.encode_name}.{dial.encode_name}"
        for provider in msgspec.structs.fields(Options)
        for struct in getattr(provider.type, "__args__", ())
        if struct is not type(None)
        for dial in msgspec.structs.fields(struct)
    }
    assert set(offer.abilities.dials) <= known


@each_offer
def test_every_model_id_fits_the_wire(offer):
    check(CATALOGUE[offer.provider].adapter, offer)


def test_a_model_id_that_would_leave_its_place_is_named():
    wrong = msgspec.structs.replace(next(one for one in OFFERS if one.provider == "runflow"), wire_model="a/../../keys")
    with pytest.raises(ValueError, match=f"^models.{wrong.model}.id: "):
        check("runflow", wrong)


def test_an_unknown_adapter_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"^adapter: expected one of openai_images, runflow, runware; got 'fal'"):
        make("fal", {})


@pytest.mark.parametrize("name", REGISTRY)
def test_a_setting_that_does_not_exist_is_named(name):
    with pytest.raises(ValueError, match=f"^colour: no such setting of the adapter {name}; it knows "):
        make(name, {"colour": "blue"})


@pytest.mark.parametrize(
    ("settings", "teaches"),
    [
        ({"statuses": {"failed": "failed"}}, "^statuses.failed: Expected `array`"),
        ({"trust_503": "yes"}, "^trust_503: Expected `bool`"),
        ({"poll_path": "v1/runs"}, "^poll_path must be relative"),
    ],
)
def test_a_wrong_setting_is_named_by_its_place(settings, teaches):
    with pytest.raises(ValueError, match=teaches):
        make("runflow", settings)

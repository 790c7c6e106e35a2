"""Runware's golden cases, the thirteen requests of its own model pages, and what no single reply shows."""

import json
import string
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import (
    Attempt,
    Done,
    Edit,
    Failed,
    FailureKind,
    Fate,
    HttpCall,
    HttpReply,
    ImageFormat,
    Json,
    Link,
    ModelSize,
    Next,
    Offer,
    Outcome,
    Picture,
    Pixels,
    Price,
    Step,
    Unclear,
)
from adapters.options import Options, RunwareOptions
from adapters.runware import WORDS, Runware, RunwareSettings
from adapters.runware_errors import CONFLICT, TABLE, UNLISTED, meaning
from gateway.catalogue import offers, read_catalogue

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "runware"
TASK = "5f0c7a52-1c55-4d0e-9a41-3b1d6f2e8c10"
ME = TASK.replace("-", "")
PHOTO = Picture("a" * 64, ImageFormat.JPEG, 3000, 2000, 900_000)
PROMPT = "Make the mug blue, keep everything else"
OFFERS = {offer.model: offer for offer in offers("runware", read_catalogue("runware"), {}, billed=True)}


def read_cases(folder: Path):
    return [pytest.param(json.loads(file.read_text()), id=file.stem) for file in sorted(folder.glob("*.json"))]


def attempt(edit: Edit | None = None, model: str = "kontext-pro", callback_url: str | None = None) -> Attempt:
    edit = edit or Edit(prompt=PROMPT, images=(PHOTO,))
    return Attempt(id=ME, number=1, edit=edit, offer=OFFERS[model], callback_url=callback_url)


def adapter(**settings: object) -> Runware:
    return Runware(msgspec.convert(settings, RunwareSettings))


def reply(status: int, body: object, headers: dict[str, str] | None = None) -> HttpReply:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return HttpReply(status, headers or {}, raw)


def then(outcome: Outcome | None) -> HttpCall:
    assert isinstance(outcome, Next)
    return outcome.call


def body_of(call: HttpCall) -> list[dict[str, object]]:
    assert isinstance(call.body, Json)
    return json.loads(call.body.text)


def calls(asked: Attempt) -> dict[str, HttpCall]:
    """Every kind of call that the adapter makes, as it makes them."""
    runware = Runware()
    submit = runware.submit(asked).call
    conflict = {"errors": [{"code": "conflictTaskUUID", "taskUUID": TASK}]}
    return {
        "submit": submit,
        "poll": then(runware.read(asked, submit, reply(200, {"data": [{"taskUUID": TASK}]}))),
        "look_up": then(runware.recover(asked, 0)),
        "archive": then(runware.recover(asked, 1)),
        "resubmit": then(runware.recover(asked, 2)),
        "owner": then(runware.read(asked, submit, reply(400, conflict))),
    }


# --- golden ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", read_cases(GOLDEN / "requests"))
def test_request(case):
    edit = msgspec.convert(case["edit"], Edit)
    asked = attempt(edit, case["model"], case.get("callback_url"))
    call = adapter(**case.get("settings", {})).submit(asked).call
    assert isinstance(call.body, Json)
    seen = {
        "step": call.step,
        "method": call.method,
        "url": call.url,
        "headers": [list(header) for header in call.headers],
        "json": body_of(call),
        "uploads": json.loads(msgspec.json.encode(call.body.uploads)),
        "carry": call.carry,
    }
    assert seen == case["call"]


@pytest.mark.parametrize("case", read_cases(GOLDEN / "replies"))
def test_reply(case):
    asked = attempt(Edit(prompt=PROMPT, images=(PHOTO,), n=case.get("n", 1)))
    outcome = adapter(**case.get("settings", {})).read(asked, calls(asked)[case["to"]], reply(**case["reply"]))
    words = getattr(outcome, "message", "")
    assert "LEAK" not in words, "a provider's own words are not for our callers"
    expected = {**case["outcome"], "message": words} if words else case["outcome"]
    assert outcome == msgspec.convert(expected, Outcome)


# --- the requests of the model pages --------------------------------------------------------------------------------

OURS = {"deliveryMethod": "async", "includeCost": True, "outputType": "URL", "outputFormat": "PNG"}


def page_edit(request: dict[str, Any]) -> tuple[Edit, list[str]]:
    """A page's request in our words, and its pictures' addresses: each picture's digest is its address here."""
    addresses = request.get("inputs", request)["referenceImages"]
    bfl = request.get("providerSettings", {}).get("bfl", {})
    options = Options(runware=RunwareOptions(scheduler=request["scheduler"])) if "scheduler" in request else Options()
    edit = Edit(
        prompt=request["positivePrompt"],
        images=tuple(Picture(address, ImageFormat.JPEG, 1000, 1000, 1) for address in addresses),
        size=Pixels(request["width"], request["height"]) if "width" in request else ModelSize(),
        seed=request["seed"],
        guidance=request.get("CFGScale"),
        steps=request.get("steps"),
        safety=bfl.get("safetyTolerance"),
        enhance_prompt=bfl.get("promptUpsampling"),
        options=options,
    )
    return edit, addresses


PAGES = read_cases(HERE / "seeds" / "requests")


def test_all_thirteen_are_here():
    assert len(PAGES) == 13


@pytest.mark.parametrize("case", PAGES)
def test_a_model_page_request_comes_out_as_its_page_has_it(case):
    edit, addresses = page_edit(case["request"])
    call = Runware().submit(attempt(edit, case["model"])).call
    (task,) = body_of(call)
    assert isinstance(call.body, Json)
    assert [upload.digest for upload in call.body.uploads] == addresses
    assert [upload.path for upload in call.body.uploads] == [
        (0, "inputs", "referenceImages", place) for place in range(len(addresses))
    ]
    assert task.pop("inputs") == {"referenceImages": [None] * len(addresses)}
    assert task.pop("taskUUID") == TASK
    page = {key: case["request"][key] for key in case["request"].keys() - {"taskUUID", "inputs", "referenceImages"}}
    assert task == page | OURS


@pytest.mark.parametrize("case", PAGES)
def test_a_model_page_answer_is_a_picture_at_its_price(case):
    edit, _ = page_edit(case["request"])
    asked = attempt(edit, case["model"])
    answer = {"data": [case["response"] | {"taskUUID": TASK}]}
    done = Runware().read(asked, calls(asked)["poll"], reply(200, answer))
    assert isinstance(done, Done)
    assert done.cost_micro == int(Decimal(str(case["response"]["cost"])) * 1_000_000)
    (picture,) = done.pictures
    response = case["response"]
    nsfw = response.get("NSFWContent")
    assert picture == Link(response["imageURL"], id=response["imageUUID"], seed=response["seed"], nsfw=nsfw)
    assert picture.seed == edit.seed


# --- ids ------------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=16, max_size=16))
def test_any_128_bits_make_a_version_4_uuid_and_stay_apart(bits):
    asked = msgspec.structs.replace(attempt(), id=bits.hex())
    (task,) = body_of(Runware().submit(asked).call)
    uuid = UUID(str(task["taskUUID"]))
    assert (uuid.version, uuid.variant) == (4, "specified in RFC 4122")
    changed = sum((one ^ other).bit_count() for one, other in zip(uuid.bytes, bits, strict=True))
    assert changed <= 6, "only version and variant bits are ours to set"


def test_a_repeat_is_the_same_id_and_body_later():
    asked = attempt(callback_url="https://gw.example.com/c")
    for tried in (2, 5, 8):
        repeat = Runware(RunwareSettings(guard_s=3.5)).recover(asked, tried)
        assert repeat is not None
        assert (repeat.call.step, repeat.guard) == (Step.RESUBMIT, 3.5)
        assert repeat.call.body == Runware().submit(asked).call.body


# --- recovering -----------------------------------------------------------------------------------------------------


def test_ways_to_learn_what_became_of_a_task_come_round_and_end():
    ways = [Runware(RunwareSettings(rounds=3)).recover(attempt(), tried) for tried in range(9)]
    steps = [way.call.step for way in ways if way]
    questions = [body_of(way.call)[0]["taskType"] for way in ways if way]
    assert steps == [Step.LOOK_UP, Step.LOOK_UP, Step.RESUBMIT] * 3
    assert questions == ["getResponse", "getTaskDetails", "imageInference"] * 3
    assert [way.after for way in ways if way] == [0, 0, 0, 2, 0, 0, 4, 0, 0]
    assert Runware(RunwareSettings(rounds=3)).recover(attempt(), 9) is None


def test_waits_between_rounds_are_bounded():
    waits = [way.after for tried in range(24) if (way := Runware().recover(attempt(), tried))]
    assert max(waits) == 30


def test_an_owner_who_stays_unknown_ends_as_hopeless():
    call, asked = calls(attempt())["owner"], 0
    outcome = Runware().read(attempt(), call, reply(502, ""))
    while isinstance(outcome, Next):
        call, asked = outcome.call, asked + 1
        assert asked < 10
        outcome = Runware().read(attempt(), call, reply(502, ""))
    assert isinstance(outcome, Unclear)
    assert outcome.hopeless


def test_no_way_to_cancel():
    asked = attempt()
    assert Runware().cancel(asked, calls(asked)["poll"]) is None


# --- answers of any kind --------------------------------------------------------------------------------------------

FIELDS = [
    "taskUUID", "taskType", "imageUUID", "imageURL", "imageBase64Data", "imageDataURI", "seed", "cost", "status",
    "code", "message", "NSFWContent", "parameter", "data", "errors", "error", "request", "response", "model",
    "positivePrompt", "responseContent",
]  # fmt: skip
CODES = ["conflictTaskUUID", "invalidProviderContent", "taskNotFound", "insufficientCredits", "inferenceError", "x y"]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=True), st.text(max_size=8),
    st.sampled_from([TASK, "imageInference", "getResponse", "success", "error", "https://x/1.png", PROMPT, *CODES]),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=20,
)
BODIES = TREES.map(lambda tree: json.dumps(tree).encode()) | st.binary(max_size=64)
CALLS = calls(attempt())
STATUSES = st.sampled_from([200, 201, 400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 504, 999])


@given(step=st.sampled_from(sorted(CALLS)), status=STATUSES, body=BODIES, n=st.integers(1, 3))
def test_no_answer_is_too_strange(step, status, body, n):
    asked = attempt(Edit(prompt=PROMPT, images=(PHOTO,), n=n))
    outcome = Runware().read(asked, CALLS[step], HttpReply(status, {"retry-after": "soon"}, body))
    assert isinstance(outcome, (Done, Next, Failed, Unclear))
    assert Runware().read(asked, CALLS[step], HttpReply(status, {"retry-after": "soon"}, body)) == outcome
    msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome)
    if isinstance(outcome, Unclear):
        assert not CALLS[step].step.may_cost, "after a submit, unclear is a failure that is resolved"
    if isinstance(outcome, (Done, Failed)) and outcome.cost_micro is not None:
        assert outcome.cost_micro > 0
    if TASK.encode() not in body.lower() and isinstance(outcome, (Done, Failed)) and not CALLS[step].step.may_cost:
        raise AssertionError("an answer that does not name our task is no verdict on it")


NESTED = [b"[" * 100_000, b'{"data":' * 50_000, b'{"data":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}"]
COSTS = ["1e999999999999999999999", "9" * 400, "-0.0", "1e-999999", "9e999999"]
COSTLY = [f'{{"data":[{{"taskUUID":"{TASK}","imageURL":"u","cost":{cost}}}]}}'.encode() for cost in COSTS]


@pytest.mark.parametrize("step", sorted(CALLS))
@pytest.mark.parametrize("body", [*NESTED, *COSTLY, b"\xff\xfe", b"9" * 5000])
def test_monstrous_answers(step, body):
    outcome = Runware().read(attempt(), CALLS[step], HttpReply(200, {}, body))
    assert getattr(outcome, "cost_micro", None) is None


@given(st.text(string.printable))
def test_what_is_shown_of_a_code_is_only_what_looks_like_one(code):
    body = {"errors": [{"code": code, "taskUUID": TASK, "message": "LEAK"}]}
    outcome = Runware().read(attempt(), CALLS["submit"], reply(400, body))
    assert isinstance(outcome, (Failed, Next))
    if isinstance(outcome, Failed):
        assert set(outcome.message) <= set(string.ascii_letters + string.digits + " ()_.-")


# --- meanings -------------------------------------------------------------------------------------------------------

# Codes that the documentation, the official SDKs or public clients name, by what the task becomes.
NAMED = {
    FailureKind.CREDENTIAL: "invalidApiKey missingApiKey unauthorized forbidden permissionDenied authFailed"
    " tokenExpired insufficientPermissions accountSuspended organizationDisabled workspaceSuspended invalidCredentials",
    FailureKind.CREDIT: "thirdPartyInsufficientCredits insufficientCredits providerInsufficientCredits quotaExceeded"
    " paymentRequired",
    FailureKind.RATE_LIMITED: "concurrentRequestLimitExceeded rateLimitExceeded inferenceRateLimitExceeded"
    " providerRateLimitExceeded",
    FailureKind.MODERATED: "invalidProviderContent invalidBFLContent contentPolicyViolation"
    " providerContentPolicyViolation nsfwContentDetected sensitiveContentDetected unsafeContentDetected promptBlocked"
    " imageBlocked moderationFailed",
    FailureKind.TASK_FAILED: "providerError providerBadRequest providerInternalError timeoutProvider providerTimeout"
    " providerGatewayTimeout inferenceError processingFailed taskFailed downloadFailed uploadFailed",
    FailureKind.BUSY: "noAvailableServer modelUnavailable modelNotReady providerUnavailable",
    FailureKind.LOST: "failedTaskTimeout taskNotFound taskExpired taskFailedOrNotFound"
    " internalServerError serviceUnavailable standardError unknownError conflictTaskUUID somethingNew",
    FailureKind.EXPIRED: "taskCancelled",
    FailureKind.UNSUPPORTED: "unsupportedParameter unsupportedDimensions unsupportedLoraModel modelNotFound"
    " unknownModel invalidProviderSettings unknownParameter incompatibleParameters",
    FailureKind.INVALID: "invalidPositivePromptLength invalidImage missingTaskUUID valueTooLarge arrayTooLong"
    " maxPromptLength",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in NAMED.items() for code in codes.split()])
def test_every_known_code_has_its_meaning(kind, code):
    assert meaning(code).kind is kind


def test_every_row_is_reached_by_a_known_code():
    reached = {id(meaning(code)) for codes in NAMED.values() for code in codes.split()}
    assert {id(row) for _, row in TABLE} <= reached
    assert meaning("conflictTaskUUID") is CONFLICT
    assert meaning("") is UNLISTED


def test_only_what_happens_before_the_task_counts_without_its_name():
    unnamed = {row.kind for _, row in TABLE if row.unnamed}
    assert unnamed == {
        FailureKind.CREDENTIAL, FailureKind.CREDIT, FailureKind.RATE_LIMITED, FailureKind.MODERATED,
        FailureKind.UNSUPPORTED, FailureKind.INVALID,
    }  # fmt: skip
    assert all(row.at_submit is Fate.NOT_RUN for _, row in TABLE if row.unnamed)


def test_every_kind_has_words():
    assert {row.kind for _, row in TABLE} | {FailureKind.BAD_PICTURE} <= WORDS.keys()


# --- money ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 160_000))
def test_costs_are_exact_to_the_micro_dollar(micro):
    text = f'{{"data":[{{"taskUUID":"{TASK}","imageURL":"u","cost":{Decimal(micro) / 1_000_000:f}}}]}}'
    outcome = Runware().read(attempt(), CALLS["poll"], HttpReply(200, {}, text.encode()))
    assert isinstance(outcome, Done)
    assert outcome.cost_micro == micro


def test_a_cost_beyond_four_times_the_price_is_not_believed():
    offer: Offer = msgspec.structs.replace(
        OFFERS["kontext-pro"], prices=(Price(micro_usd=10_000, since=date(2026, 1, 1), source="test"),)
    )
    asked = msgspec.structs.replace(attempt(), offer=offer)
    for cost, believed in (("0.04", 40_000), ("0.040001", None)):
        text = f'{{"data":[{{"taskUUID":"{TASK}","imageURL":"u","cost":{cost}}}]}}'
        outcome = Runware().read(asked, CALLS["poll"], HttpReply(200, {}, text.encode()))
        assert isinstance(outcome, Done)
        assert outcome.cost_micro == believed


# --- calls ----------------------------------------------------------------------------------------------------------


def test_calls_carry_no_credential_no_bytes_and_stay_under_the_base():
    for call in CALLS.values():
        assert call.url == "", "the base itself: only there does the sender add the key"
        assert not call.headers
        assert len(msgspec.json.encode(call)) < 2000
        assert msgspec.json.decode(msgspec.json.encode(call), type=HttpCall) == call
    assert (Runware().auth.header, Runware().auth.scheme) == ("Authorization", "Bearer")


def test_an_edit_that_the_offer_cannot_take_is_not_built():
    with pytest.raises(ValueError, match="size needs a size"):
        Runware().submit(attempt(Edit(prompt=PROMPT, images=(PHOTO,), size=ModelSize())))


@pytest.mark.parametrize("settings", [{"guard_s": 0}, {"rounds": 0}, {"reference_images": "x"}, {"guard": 3}])
def test_settings_are_checked(settings):
    with pytest.raises(msgspec.ValidationError):
        adapter(**settings)

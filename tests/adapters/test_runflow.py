"""Runflow's golden cases (every request and reply shape of its documentation), and what takes more than one reply."""

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from adapters.contract import (
    Attempt,
    Bytes,
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
    Next,
    Outcome,
    Picture,
    Ratio,
    Step,
    Unclear,
    Upload,
)
from adapters.options import Options, RunflowOptions
from adapters.runflow import Runflow, model_path
from adapters.runflow_settings import RunflowSettings
from gateway.catalogue import offers, read_catalogue

ME = "7c1f00000000000000000000000000a1"
RUN = "0198a000-0000-7000-8000-0000000000aa"
GOLDEN = Path(__file__).parent / "golden" / "runflow"
OFFERS = {offer.model: offer for offer in offers("runflow", read_catalogue("runflow"), {}, billed=True)}
PHOTO = Picture("a" * 64, ImageFormat.PNG, 1600, 900, 300_000)
LARGE = Picture("a" * 64, ImageFormat.JPEG, 1600, 900, 3_000_000)


def cases(folder: str):
    return [pytest.param(json.loads(file.read_text()), id=file.stem) for file in sorted((GOLDEN / folder).glob("*"))]


def attempt(edit: Edit | None = None, model: str = "kontext-max", callback_url: str | None = None) -> Attempt:
    edit = edit or Edit(prompt="Swap the sky for a sunset", images=(PHOTO,), n=2)
    return Attempt(id=ME, number=1, edit=edit, offer=OFFERS[model], callback_url=callback_url)


def reply(status: int, body: object, headers: dict[str, str] | None = None) -> HttpReply:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return HttpReply(status, headers or {}, raw)


def adapter(**settings: object) -> Runflow:
    return Runflow(msgspec.convert(settings, RunflowSettings))


def poll_call(run_id: str = RUN) -> HttpCall:
    return HttpCall(step=Step.POLL, method="GET", url=f"v1/runs/{run_id}", carry={"run_id": run_id})


def call_named(runflow: Runflow, name: str) -> HttpCall:
    """The call that a golden reply answers: a step, or a stage of an upload."""
    if name in ("open", "put", "confirm"):
        return HttpCall(step=Step.UPLOAD, method="POST", url="", carry={"upload": name, "asset_id": "as_1"})
    return {
        "submit": runflow.submit(attempt()).call,
        "poll": poll_call(),
        "look_up": then(runflow.recover(attempt(), 0)),
    }[name]


def body_of(call: HttpCall) -> dict[str, dict[str, object]]:
    assert isinstance(call.body, Json)
    return json.loads(call.body.text)


def then(outcome: Outcome | None) -> HttpCall:
    assert isinstance(outcome, Next)
    return outcome.call


# --- golden ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("requests"))
def test_request(case):
    edit = msgspec.convert(case["edit"], Edit)
    call = adapter(**case.get("settings", {})).submit(attempt(edit, case["model"], case.get("callback_url"))).call
    assert isinstance(call.body, Json)
    seen = {
        "step": call.step,
        "method": call.method,
        "url": call.url,
        "headers": [list(header) for header in call.headers],
        "json": json.loads(call.body.text),
        "uploads": json.loads(msgspec.json.encode(call.body.uploads)),
        "carry": call.carry,
    }
    assert seen == case["call"]


@pytest.mark.parametrize("case", cases("replies"))
def test_reply(case):
    runflow = adapter(**case.get("settings", {}))
    outcome = runflow.read(attempt(), call_named(runflow, case["to"]), reply(**case["reply"]))
    words = getattr(outcome, "message", "")
    assert "LEAK" not in words, "a provider's own words are not for our callers"
    expected = {**case["outcome"], "message": words} if words else case["outcome"]
    assert outcome == msgspec.convert(expected, Outcome)


@pytest.mark.parametrize(
    ("output", "count"),
    [
        ({"image": {"url": "https://cdn.example.com/a.png"}}, 1),
        ({"url": "https://cdn.example.com/a.png"}, 1),
        ({"output_url": "https://cdn.example.com/a.png"}, 1),
        ({"images": [{"url": "https://cdn.example.com/a.png"}]}, 1),
        ({"images": ["https://cdn.example.com/a.png", "https://cdn.example.com/b.png"]}, 2),
        ({"outputs": [{"url": "https://cdn.example.com/a.png"}], "url": "https://cdn.example.com/not-this.png"}, 1),
    ],
)
def test_every_documented_place_of_a_picture(output, count):
    run = {"id": RUN, "status_code": "succeeded", "output": output}
    outcome = adapter().read(attempt(), poll_call(), reply(200, run))
    assert isinstance(outcome, Done)
    urls = [picture.url for picture in outcome.pictures if isinstance(picture, Link)]
    assert urls == ["https://cdn.example.com/a.png", "https://cdn.example.com/b.png"][:count]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "runflow://assets/1", "", "//host/a.png"])
def test_only_addresses_of_the_web_are_pictures(url):
    run = {"id": RUN, "status_code": "succeeded", "output": {"url": url}}
    outcome = adapter().read(attempt(), poll_call(), reply(200, run))
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.BAD_PICTURE


def test_an_expired_address_is_asked_for_again():
    def run(signature: str) -> HttpReply:
        output = {"outputs": [{"url": f"https://cdn.example.com/a.png?sig={signature}"}]}
        return reply(200, {"id": RUN, "status_code": "succeeded", "output": output})

    first = adapter().read(attempt(), poll_call(), run("old"))
    assert isinstance(first, Done)
    assert first.refresh is not None
    assert not first.refresh.step.may_cost
    second = adapter().read(attempt(), first.refresh, run("new"))
    assert isinstance(second, Done)
    assert second.pictures == (Link("https://cdn.example.com/a.png?sig=new"),)


# --- a shape that the model spells otherwise ------------------------------------------------------------------------

WRONG_SHAPE = {"code": "VALIDATION_ERROR", "message": "x", "errors": [{"field": "input.aspect_ratio", "message": "y"}]}


def test_a_refused_shape_is_spelt_the_other_way_once():
    runflow = adapter()
    first = runflow.submit(attempt()).call
    second = then(runflow.read(attempt(), first, reply(422, WRONG_SHAPE)))
    assert second.step is Step.SUBMIT
    assert body_of(first)["input"]["aspect_ratio"] == "16:9"
    assert body_of(second)["input"]["aspect_ratio"] == "landscape_16_9"
    assert body_of(second)["client_ref"] == ME, "a lost answer to either is found under one reference"
    assert dict(second.headers)["Idempotency-Key"] != dict(first.headers)["Idempotency-Key"], (
        "another body, another key"
    )
    third = runflow.read(attempt(), second, reply(422, WRONG_SHAPE))
    assert isinstance(third, Failed)
    assert (third.kind, third.fate) == (FailureKind.INVALID, Fate.NOT_RUN)
    assert "input.aspect_ratio" in third.message


@pytest.mark.parametrize("refusal", [WRONG_SHAPE, {"error": "aspect_ratio is not one of the allowed values"}])
def test_the_other_way_round(refusal):
    runflow = adapter(aspect_ratio_style="preset")
    second = then(runflow.read(attempt(), runflow.submit(attempt()).call, reply(422, refusal)))
    assert body_of(second)["input"]["aspect_ratio"] == "16:9"


def test_a_shape_that_is_spelt_one_way_only_is_refused_at_once():
    wish = Edit(prompt="x", images=(PHOTO,), size=Ratio(21, 9))
    outcome = adapter().read(attempt(wish), adapter().submit(attempt(wish)).call, reply(422, WRONG_SHAPE))
    assert isinstance(outcome, Failed)


def test_a_shape_that_the_caller_spelt_is_not_respelt():
    options = Options(runflow=RunflowOptions(aspect_ratio="square"))
    wish = Edit(prompt="x", images=(PHOTO,), options=options)
    outcome = adapter().read(attempt(wish), adapter().submit(attempt(wish)).call, reply(422, WRONG_SHAPE))
    assert isinstance(outcome, Failed)


# --- uploads --------------------------------------------------------------------------------------------------------


def test_a_large_picture_is_uploaded_before_anything_is_bought():
    runflow, large = adapter(organization_id="org_1"), attempt(Edit(prompt="x", images=(LARGE,)))
    opened = runflow.submit(large).call
    put = then(
        runflow.read(large, opened, reply(201, {"asset_id": "as_1", "upload_url": "https://s3.example/u?sig=1"}))
    )
    confirm = then(runflow.read(large, put, reply(200, "")))
    signed = "https://cdn.example.com/in.jpeg?sig=2"
    submit = then(runflow.read(large, confirm, reply(201, {"id": "as_1", "url": signed})))

    assert [call.step for call in (opened, put, confirm, submit)] == [*[Step.UPLOAD] * 3, Step.SUBMIT]
    assert (put.method, put.url) == ("PUT", "https://s3.example/u?sig=1")
    assert put.body == Bytes(Upload("a" * 64, "bytes"), "image/jpeg")
    assert put.headers == (), "the storage is told nothing about us"
    assert (confirm.method, confirm.url) == ("POST", "v1/asset-uploads/as_1/confirmations")
    assert body_of(confirm) == {"folder_id": None}
    assert isinstance(submit.body, Json)
    assert submit.body.uploads == ()
    assert body_of(submit)["input"]["image_url"] == signed
    assert submit.carry == {"asset_id": "as_1", "image_url": signed}


def test_the_uploaded_picture_stays_when_the_shape_is_spelt_anew():
    runflow, large = adapter(), attempt(Edit(prompt="x", images=(LARGE,)))
    submit = HttpCall(
        step=Step.SUBMIT, method="POST", url="", carry={"asset_id": "as_1", "image_url": "https://i.example"}
    )
    again = then(runflow.read(large, submit, reply(422, WRONG_SHAPE)))
    assert body_of(again)["input"]["image_url"] == "https://i.example"


def test_an_asset_without_an_address_goes_by_its_name():
    confirm = HttpCall(step=Step.UPLOAD, method="POST", url="", carry={"upload": "confirm", "asset_id": "as_1"})
    submit = then(adapter().read(attempt(), confirm, reply(201, {"id": "as_1"})))
    assert body_of(submit)["input"]["image_url"] == "runflow://assets/as_1"


@pytest.mark.parametrize(
    ("stage", "status", "body", "kind"),
    [
        ("open", 401, {"code": "UNAUTHORIZED"}, FailureKind.CREDENTIAL),
        ("open", 402, {"code": "INSUFFICIENT_CREDIT"}, FailureKind.CREDIT),
        ("open", 400, {}, FailureKind.UNSUPPORTED),
        ("open", 413, {}, FailureKind.UNSUPPORTED),
        ("open", 422, {}, FailureKind.UNSUPPORTED),
        ("open", 422, {"message": "flagged as NSFW"}, FailureKind.MODERATED),
        ("confirm", 400, {"code": "CONTENT_POLICY"}, FailureKind.MODERATED),
        ("open", 429, {}, FailureKind.RATE_LIMITED),
        ("open", 500, "", FailureKind.BUSY),
        ("open", 200, "<html>", FailureKind.BUSY),
        ("open", 200, {"asset_id": "as_1", "upload_url": "v1/keys"}, FailureKind.BUSY),
        ("open", 200, {"asset_id": "../1", "upload_url": "https://s3.example/u"}, FailureKind.BUSY),
        ("put", 403, "<Error>Request has expired</Error>", FailureKind.BUSY),
        ("confirm", 500, "", FailureKind.BUSY),
    ],
)
def test_a_failed_upload_bought_nothing(stage, status, body, kind):
    call = HttpCall(step=Step.UPLOAD, method="POST", url="u", carry={"upload": stage, "asset_id": "as_1"})
    outcome = adapter().read(attempt(), call, reply(status, body))
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.fate) == (kind, Fate.NOT_RUN)


@pytest.mark.parametrize(("bytes_", "step"), [(786_409, Step.SUBMIT), (786_430, Step.UPLOAD)])
def test_the_limit_counts_the_data_uri_and_not_the_file(bytes_, step):
    """786,409 bytes make a data URI of 1,048,571 characters; 786,430 make one of 1,048,599, above 1 MiB."""
    picture = Picture("a" * 64, ImageFormat.JPEG, 1000, 1000, bytes_)
    assert adapter().submit(attempt(Edit(prompt="x", images=(picture,)))).call.step is step


# --- lost answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "seconds"), [({}, 60), ({"quarantine_s": 6}, 6), ({"quarantine_s": 90.5}, 90.5)])
def test_look_ups_cover_the_quarantine_with_growing_gaps_and_end(settings, seconds):
    waits = []
    while (way := adapter(**settings).recover(attempt(), len(waits))) is not None:
        assert way.call.step is Step.LOOK_UP
        assert way.call.url == f"v1/runs?q=client_ref.EQ%3A%27{ME}%27"
        waits.append(way.after)
    assert sum(waits) == seconds
    assert all(wait > 0 for wait in waits)
    assert waits[:-1] == sorted(waits[:-1]), "the last one only fills what is left"
    assert adapter().recover(attempt(), 1_000_000) is None


def test_a_lost_answer_is_never_sent_again():
    runflow = adapter()
    for tried in range(10):
        way = runflow.recover(attempt(), tried)
        assert way is None or not way.call.step.may_cost


@pytest.mark.parametrize("status", ["queued", "succeeded", "failed", "cancelled"])
def test_a_found_run_is_read_by_itself(status):
    """The list may leave out cost and output; the run itself has them."""
    runflow = adapter()
    found = {"items": [{"id": RUN, "status_code": status, "client_ref": ME}]}
    outcome = runflow.read(attempt(), then(runflow.recover(attempt(), 0)), reply(200, found))
    assert then(outcome) == poll_call()


# --- silence as proof -----------------------------------------------------------------------------------------------

PAGE_1 = f"v1/runs?q=client_ref.EQ%3A%27{ME}%27&limit=500"
OTHERS = [{"id": RUN, "client_ref": None}, {"id": RUN, "client_ref": "somebody-elses"}]


def test_silence_is_no_proof_unless_a_setting_says_when():
    runflow = adapter()
    outcome = runflow.read(attempt(), then(runflow.recover(attempt(), 0)), reply(200, {"data": [], "next_pq": None}))
    assert isinstance(outcome, Unclear)
    assert runflow.recover(attempt(), 5) is None


def test_the_whole_list_is_read_once_the_submit_is_old_enough():
    runflow = adapter(quarantine_s=6, absent_after_s=45)
    ways = [runflow.recover(attempt(), tried) for tried in range(6)]
    assert [(way.after, way.guard) for way in ways if way] == [(2, 0), (4, 0), (0, 45), (2, 45), (4, 45)]
    assert [way.call.url for way in ways[2:5] if way] == [PAGE_1] * 3
    assert ways[5] is None


def proof(**settings):
    """The adapter, and its question for the whole list."""
    runflow = adapter(**{"quarantine_s": 0, "absent_after_s": 45, **settings})
    return runflow, then(runflow.recover(attempt(), 1))


@pytest.mark.parametrize("document", [{"data": [], "next_pq": None}, [], {"items": OTHERS}], ids=str)
def test_a_list_that_was_read_to_its_end_without_our_run_proves_that_it_never_arrived(document):
    runflow, call = proof()
    outcome = runflow.read(attempt(), call, reply(200, document))
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.fate) == (FailureKind.NOT_SENT, Fate.NOT_RUN)


def test_every_page_is_read_before_silence_counts():
    runflow, call = proof()
    second = then(runflow.read(attempt(), call, reply(200, {"data": OTHERS, "next_pq": "a b"})))
    assert second.url == f"{PAGE_1}&pq=a%20b"
    assert isinstance(runflow.read(attempt(), second, reply(200, {"data": OTHERS, "next_pq": None})), Failed)
    ours = {"data": [*OTHERS, {"id": RUN, "client_ref": ME, "status_code": "running"}], "next_pq": "more"}
    assert then(runflow.read(attempt(), second, reply(200, ours))) == poll_call()


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (500, {"data": []}),
        (200, "<html>"),
        (200, {"message": "no list here"}),
        (200, {"data": [{"id": RUN}]}),
        (200, {"data": OTHERS * 250}),
    ],
    ids=["an error", "no JSON", "no list", "runs without their references", "a full page without a cursor"],
)
def test_a_list_that_is_not_whole_proves_nothing(status, document):
    runflow, call = proof()
    assert isinstance(runflow.read(attempt(), call, reply(status, document)), Unclear)


def test_a_list_without_end_proves_nothing():
    runflow, call = proof()
    for _ in range(199):
        call = then(runflow.read(attempt(), call, reply(200, {"data": OTHERS, "next_pq": "on"})))
    assert isinstance(runflow.read(attempt(), call, reply(200, {"data": OTHERS, "next_pq": "on"})), Unclear)


def test_a_question_from_before_the_setting_was_taken_back_proves_nothing():
    _, call = proof()
    assert isinstance(adapter().read(attempt(), call, reply(200, {"data": []})), Unclear)


def test_an_enhanced_prompt_is_still_ours():
    runflow, enhanced = adapter(), attempt(Edit(prompt="x", images=(PHOTO,), enhance_prompt=True))
    found = [{"id": RUN, "status_code": "running", "client_ref": ME, "input": {"prompt": "x, in golden light"}}]
    assert then(runflow.read(enhanced, then(runflow.recover(enhanced, 0)), reply(200, found))) == poll_call()


def test_a_found_run_whose_id_is_no_id_is_not_followed():
    runflow = adapter()
    found = [{"id": "../keys", "status_code": "running", "client_ref": ME}]
    assert isinstance(runflow.read(attempt(), then(runflow.recover(attempt(), 0)), reply(200, found)), Unclear)


@pytest.mark.parametrize(("cost", "believed"), [("100.00", 100_000_000), ("100.01", None)])
def test_a_bill_without_a_price_to_compare_with_is_believed_up_to_100_dollars(cost, believed):
    unpriced = replace(attempt(), offer=replace(OFFERS["kontext-max"], prices=()))
    run = {"id": RUN, "status_code": "succeeded", "output": {"url": "https://cdn.example.com/a.png"}, "cost": cost}
    outcome = adapter().read(unpriced, poll_call(), reply(200, run))
    assert isinstance(outcome, Done)
    assert outcome.cost_micro == believed


def test_an_unreadable_list_leads_to_the_next_way():
    runflow = adapter()
    outcome = runflow.read(attempt(), then(runflow.recover(attempt(), 0)), reply(200, "<html>"))
    assert isinstance(outcome, Unclear)
    assert not outcome.hopeless


# --- settings and model ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire_model", ["", "a//b", "a/../b", "./a", "a/.", "/a", "a/"])
def test_a_model_id_cannot_leave_its_place(wire_model):
    with pytest.raises(ValueError, match="owner/name"):
        model_path(wire_model)


def test_a_model_id_is_encoded_by_segment():
    assert model_path("black forest/flux?x#y/kontext%2F") == "black%20forest/flux%3Fx%23y/kontext%252F"


@pytest.mark.parametrize(
    ("settings", "teaches"),
    [
        ({"submit_path": "https://elsewhere.example/{model_id}"}, "submit_path must be relative"),
        ({"poll_path": "v1/runs"}, "{run_id}"),
        ({"quarantine_s": -1}, "quarantine_s"),
        ({"moderation": "("}, "regular expression"),
        ({"aspect_ratio_style": "pixels"}, "aspect_ratio_style"),
        ({"sumbit_path": "x"}, "sumbit_path"),
    ],
)
def test_wrong_settings_are_refused(settings, teaches):
    with pytest.raises(msgspec.ValidationError, match=teaches):
        adapter(**settings)


def test_a_path_cannot_name_another_server():
    call = adapter(list_path="//elsewhere.example/runs").recover(attempt(), 0)
    assert then(call).url.startswith("elsewhere.example/runs?")


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "providers.runflow.api_key"),
        (402, "out of credit"),
        (403, "the key of providers.runflow may not"),
        (404, "providers.runflow.models.kontext-max.id"),
        (405, "providers.runflow.models.kontext-max.id"),
    ],
)
def test_what_the_operator_can_set_is_said(status, advice):
    outcome = adapter().read(attempt(), adapter().submit(attempt()).call, reply(status, {}))
    assert isinstance(outcome, Failed)
    assert advice in outcome.message


def test_an_edit_that_the_offer_cannot_take_is_not_sent():
    with pytest.raises(ValueError, match="at most 4"):
        adapter().submit(attempt(Edit(prompt="x", images=(PHOTO,), n=5)))


def test_a_dial_that_the_model_does_not_take_is_not_sent():
    plain = replace(OFFERS["kontext-max"], abilities=replace(OFFERS["kontext-max"].abilities, dials=()))
    options = Options(runflow=RunflowOptions(aspect_ratio="square", sync_mode=True))
    wish = Edit(prompt="x", images=(PHOTO,), options=options)
    sent = body_of(adapter().submit(Attempt(id=ME, number=1, edit=wish, offer=plain)).call)["input"]
    assert sent["aspect_ratio"] == "16:9"
    assert "sync_mode" not in sent


# --- callbacks --------------------------------------------------------------------------------------------------------

CALL = b'{"event": "run.completed", "run_id": "r"}'
# printf '{"event": "run.completed", "run_id": "r"}' | openssl dgst -sha256 -hmac whsec_one
SIGNED = "2a8b193ea7a9c0b3272de0fc3b39ef48243a8922ce4c7a9daf0283cc574dc12f"


@pytest.mark.parametrize(
    ("secrets", "headers", "body", "signed"),
    [
        (("whsec_one",), {"runflow-signature": SIGNED}, CALL, True),
        (("whsec_new", "whsec_one"), {"runflow-signature": SIGNED.upper()}, CALL, True),
        (("whsec_new",), {"runflow-signature": SIGNED}, CALL, False),
        (("one",), {"runflow-signature": SIGNED}, CALL, False),
        (("whsec_one",), {"runflow-signature": SIGNED}, CALL + b" ", False),
        (("whsec_one",), {"runflow-signature": f"sha256={SIGNED}"}, CALL, False),
        (("whsec_one",), {"runflow-signature": "é"}, CALL, False),
        (("whsec_one",), {"runflow-signature": ""}, CALL, False),
        (("whsec_one",), {}, CALL, False),
        ((), {"runflow-signature": SIGNED}, CALL, False),
    ],
)
def test_a_callback_is_signed_by_a_known_secret_over_its_very_bytes(secrets, headers, body, signed):
    assert Runflow().is_signed(HttpReply(200, headers, body), secrets) is signed


def test_even_a_signed_callback_makes_us_ask_since_it_holds_no_cost():
    poll = HttpCall(step=Step.POLL, method="GET", url="v1/runs/r", carry={"run_id": "r"})
    outcome = Runflow().read(attempt(), poll, HttpReply(200, {"runflow-signature": SIGNED}, CALL))
    assert isinstance(outcome, Next)
    assert (outcome.call.step, outcome.call.url, outcome.after) == (Step.POLL, "v1/runs/r", 0.0)

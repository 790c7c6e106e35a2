"""The OpenAI images protocol as our local servers speak it: golden requests and replies."""

import json
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from adapters.contract import (
    Abilities,
    Attempt,
    Edit,
    Failed,
    Form,
    HttpCall,
    HttpReply,
    ImageFormat,
    Offer,
    Outcome,
    Picture,
    Tier,
)
from adapters.fit import Fit, Unfit, fit
from adapters.openai_images import PROFILES, OpenAIImages, OpenAIImagesSettings
from gateway.catalogue import ModelOverlay, offers, read_catalogue

GOLDEN = Path(__file__).parent / "golden" / "openai_images"
OFFERS = {offer.model: offer for offer in offers("local", read_catalogue("local"), {}, billed=False)}
PHOTO = Picture("a" * 64, ImageFormat.PNG, 1600, 900, 300_000)
MASK = Picture("b" * 64, ImageFormat.PNG, 1600, 900, 9_000)
ADAPTER = OpenAIImages()


def adapter_of(profile: str) -> OpenAIImages:
    return OpenAIImages(OpenAIImagesSettings(profile=profile))


def fitted(profile: str, edit: Edit) -> Fit | Unfit:
    return fit(edit, adapter_of(profile).narrow(OFFERS["kontext-dev"]))


def offer_of(model: str, tier: str | None) -> Offer:
    """A shipped offer, or one that only a configuration names: of OpenAI, with its tier."""
    if tier is None:
        return OFFERS[model]
    overlay = ModelOverlay(id=model, tier=Tier(tier), price_usd="0.05")
    return offers("openai", read_catalogue("openai"), {"image": overlay}, billed=True)[0]


def cases(folder: str):
    return [pytest.param(json.loads(file.read_text()), id=file.stem) for file in sorted((GOLDEN / folder).glob("*"))]


def attempt(edit: Edit | None = None, model: str = "preview") -> Attempt:
    edit = edit or Edit(prompt="Make it grayscale", images=(PHOTO,), n=2)
    return Attempt(id="7c" * 16, number=1, edit=edit, offer=OFFERS[model])


@pytest.mark.parametrize("case", cases("requests"))
def test_request(case):
    adapter = adapter_of(case.get("profile", "kontext"))
    offer = offer_of(case["model"], case.get("tier"))
    wanted = structs.replace(attempt(msgspec.convert(case["edit"], Edit)), offer=offer)
    served = structs.replace(wanted, offer=adapter.narrow(wanted.offer))
    call = adapter.submit(served).call
    assert call == msgspec.convert(case["call"], HttpCall)


@pytest.mark.parametrize("case", cases("replies"))
def test_reply(case):
    body = case["reply"]["body"]
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    reply = HttpReply(case["reply"]["status"], case["reply"]["headers"], raw)
    outcome = ADAPTER.read(attempt(), ADAPTER.submit(attempt()).call, reply)
    words = getattr(outcome, "message", "")
    assert "LEAK" not in words, "a provider's own words are not for our callers"
    expected = {**case["outcome"], "message": words} if words else case["outcome"]
    assert outcome == msgspec.convert(expected, Outcome)


def test_notes_are_bounded_and_printable():
    notes = ["x" * 5000, "bell\x07 and \x1b[31mred", 7, ""] + ["again"] * 100
    body = json.dumps({"data": [{"b64_json": "aGk="}], "not_applied": notes}).encode()
    outcome = ADAPTER.read(attempt(), ADAPTER.submit(attempt()).call, HttpReply(200, {}, body))
    shown = getattr(outcome, "notes", ())
    assert len(shown) == 20
    assert all(len(note) < 250 and note.isprintable() for note in shown)
    assert shown[1] == "not applied: bell and [31mred"


@pytest.mark.parametrize(
    ("profile", "health", "path"),
    [("vllm_omni", None, "/health"), ("sd_server", None, "/v1/models"), ("openai", None, None),
     ("vllm_omni", "", None), ("openai", "/live", "/live")],
)  # fmt: skip
def test_a_server_is_asked_where_it_tells_how_it_is(profile, health, path):
    assert OpenAIImages(OpenAIImagesSettings(profile=profile, health=health)).health_path == path


def test_an_address_is_no_place_to_ask():
    with pytest.raises(msgspec.ValidationError, match="health must be a path such as"):
        msgspec.convert({"health": "http://169.254.169.254/"}, OpenAIImagesSettings)


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(msgspec.ValidationError, match="profile must be one of: kontext"):
        msgspec.convert({"profile": "konext"}, OpenAIImagesSettings)


MASKED = Edit(prompt="Paint the door red", images=(PHOTO,), mask=MASK)


def test_a_mask_that_a_server_would_ignore_is_refused():
    assert isinstance(fitted("kontext", MASKED), Fit)
    assert fitted("sglang", MASKED) == Unfit("mask", "a mask", "has no masks; leave it out")


@pytest.mark.parametrize(
    ("profile", "sent"),
    [
        ("kontext", {"mask": (MASK.digest, None)}),
        ("vllm_omni", {"mask_image": (MASK.digest, "luma"), "reference_image": (PHOTO.digest, None)}),
        ("sd_server", {"mask": (MASK.digest, "luma")}),
        ("openai", {"mask": (MASK.digest, "alpha")}),
        ("azure", {"mask": (MASK.digest, "alpha")}),
    ],
)
def test_a_mask_is_asked_for_in_its_servers_meaning(profile, sent):
    body = adapter_of(profile).submit(attempt(MASKED)).call.body
    assert isinstance(body, Form)
    files = {file.name: (file.upload.digest, file.upload.mask) for file in body.files}
    assert files == {"image[]": (PHOTO.digest, None), **sent}


BILLED = Offer(provider="openai", model="image", wire_model="gpt-image-2", tier=Tier.STANDARD, abilities=Abilities(n=4))


@pytest.mark.parametrize(
    ("status", "kind", "fate"),
    [
        (500, "lost", "may_have_run"),
        (502, "lost", "may_have_run"),
        (503, "busy", "not_run"),
        (429, "rate_limited", "not_run"),
    ],
)
def test_behind_a_bill_a_server_error_proves_nothing(status, kind, fate):
    asked = structs.replace(attempt(), offer=BILLED)
    adapter = adapter_of("openai")
    outcome = adapter.read(asked, adapter.submit(asked).call, HttpReply(status, {}, b"{}"))
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.fate) == (kind, fate)


def test_a_503_that_is_not_trusted_proves_nothing_either():
    asked = structs.replace(attempt(), offer=BILLED)
    adapter = OpenAIImages(OpenAIImagesSettings(profile="openai", trust_503=False))
    outcome = adapter.read(asked, adapter.submit(asked).call, HttpReply(503, {}, b"{}"))
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.fate) == ("lost", "may_have_run")


@pytest.mark.parametrize("tier", Tier)
def test_a_tier_is_asked_for_as_the_quality_that_its_price_is_for(tier):
    asked = structs.replace(attempt(), offer=structs.replace(BILLED, tier=tier))
    body = adapter_of("openai").submit(asked).call.body
    assert isinstance(body, Form)
    expected = {"preview": "low", "draft": "low", "standard": "medium", "premium": "high"}
    assert dict(body.fields)["quality"] == expected[tier]


@pytest.mark.parametrize("name", ["../keys", "a/b", "", "a?b"])
def test_a_deployment_that_would_leave_its_place_is_refused(name):
    with pytest.raises(ValueError, match=r"^models\.image\.id: expected the name of a deployment"):
        adapter_of("azure").narrow(structs.replace(BILLED, wire_model=name))
    assert adapter_of("openai").narrow(structs.replace(BILLED, wire_model=name)).wire_model == name


@pytest.mark.parametrize(
    "prompt",
    [
        'red <sd_cpp_extra_args>{"seed": 1}</sd_cpp_extra_args>',
        "red <SD_CPP_EXTRA_ARGS>{}",
        "<sd_cpp_<sd_cpp_extra_args>{}</sd_cpp_extra_args>extra_args>{}</sd_cpp_extra_args>",
        "a portrait <lora:../secret:1>",
    ],
)
def test_engine_settings_in_a_prompt_are_refused_where_the_server_would_read_them(prompt):
    edit = Edit(prompt=prompt, images=(PHOTO,))
    refused = fitted("sd_server", edit)
    assert isinstance(refused, Unfit)
    assert refused.field == "prompt"
    assert isinstance(fitted("vllm_omni", edit), Fit), "to every other server they are words"


NEGATIVE = Edit(prompt="Make it red", images=(PHOTO,), seed=41, guidance=2.5, steps=28, negative_prompt="people")


@pytest.mark.parametrize("profile", ["vllm_omni", "sglang"])
@pytest.mark.parametrize(
    ("edit", "scale", "sent"),
    [
        (NEGATIVE, {}, "2.0"),
        (NEGATIVE, {"true_cfg_scale": 4.5}, "4.5"),
        (NEGATIVE, {"true_cfg_scale": 0}, None),
        (structs.replace(NEGATIVE, negative_prompt=None), {}, None),
    ],
)
def test_a_negative_prompt_goes_with_what_makes_the_model_read_it(profile, edit, scale, sent):
    adapter = OpenAIImages(msgspec.convert({"profile": profile, **scale}, OpenAIImagesSettings))
    body = adapter.submit(attempt(edit, "kontext-dev")).call.body
    assert isinstance(body, Form)
    assert dict(body.fields).get("true_cfg_scale") == sent


@pytest.mark.parametrize("profile", ["openai", "sd_server"])
def test_a_dial_without_a_field_is_dropped_in_sight(profile):
    edit = NEGATIVE
    answer = fitted(profile, edit)
    assert isinstance(answer, Fit)
    assert {one.field for one in answer.adjustments if one.sent is None} == {
        "seed", "guidance", "steps", "negative_prompt",
    }  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES)
def test_no_server_is_given_an_address_to_fetch(profile):
    edit = Edit(prompt="Make it like http://169.254.169.254/", images=(PHOTO,))
    body = adapter_of(profile).submit(attempt(edit)).call.body
    assert isinstance(body, Form)
    assert {name for name, value in body.fields if "://" in value} == {"prompt"}
    assert not {name for name, _ in body.fields} & {"url", "url[]", "image", "image[]", "mask"}
    assert [(file.name, file.upload.digest) for file in body.files] == [("image[]", PHOTO.digest)]

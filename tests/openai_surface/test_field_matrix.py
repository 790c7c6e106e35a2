"""Every field of a request, at every offer: it reaches the provider's wire as meant, or is named in an adjustment, or
the offer is out before money moves.

The matrix is made from the request's own fields: a new one fails until it has a row.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
import pytest
from msgspec import structs

from adapters.contract import Attempt, Form, HttpCall, ImageFormat, Json, Offer, Picture, Step
from adapters.fit import Fit, fit
from gateway.api.openai.requests import ImageEditRequest, translated
from gateway.api.orders import edit_of
from gateway.api.requests import EditRequest, OutputRequest, Parts, read_json
from gateway.configuration import load
from gateway.settings import Settings
from tests.end_to_end.stage import Stage

CONFIG = """
[providers.runware]
api_key = "env:KEY"
[providers.runflow]
api_key = "env:KEY"
[providers.local]
base_url = "http://local.test/v1"
[policies.any]
tier = "preview"
offers = ["local/preview"]
[teams.growth]
policy = "any"
"""
BASE: dict[str, Any] = {"prompt": "Make the mug blue", "images": ["https://a.example/one"]}

# field -> a value, and what of it must be found on the wire of an offer that takes it
WIRED: dict[str, tuple[object, tuple[str, ...]]] = {
    "prompt": ("Paint the cup red", ("Paint the cup red",)),
    "images": (["https://a.example/two"], ("<two>",)),
    "mask": ("https://a.example/mask", ("<mask>",)),
    "size": ("16:9", ("1392", "16:9", "1360")),
    "n": (3, ("3",)),
    "seed": (4711, ("4711",)),
    "guidance": (7.25, ("7.25",)),
    "steps": (17, ("17",)),
    "negative_prompt": ("no people at all", ("no people at all",)),
    "safety": (2, ("2",)),
    "flag_nsfw": (True, ("checkContent",)),
    "enhance_prompt": (True, ("true",)),
    "options": ({"runware": {"scheduler": "Euler"}, "runflow": {"sync_mode": True}}, ("Euler", "sync_mode")),
    "output.format": ("webp", ("webp", "WEBP")),
    "output.quality": (61, ("61",)),
}
# What the gateway does by itself, alike for every offer, with the tests that hold it.
OURS = {
    "tier": "tests/policies/test_plans.py",
    "policy": "tests/api/test_http_surface.py",
    "models": "tests/api/test_http_surface.py",
    "max_cost_usd": "tests/api/test_bad_input.py",
    "deadline_s": "tests/api/test_bad_input.py",
    "strict": "tests/adapters/test_fit.py",
    "webhook_url": "tests/webhooks",
    "metadata": "tests/api/test_http_surface.py",
    "output.delivery": "tests/api/test_http_surface.py",
    "output.upload_url": "tests/engine_path/test_handover_upload.py",
    "output.ttl_s": "tests/api",
}
# The gateway transcodes, so a wire need not carry them (a provider's default may be another format).
TRANSCODED = {"output.format", "output.quality"}

# OpenAI's fields -> a value, and the field of an edit's request that it comes to; none where it is told as adjusted
TRANSLATED: dict[str, tuple[object, str | None]] = {
    "images": ([{"image_url": "https://a.example/two"}], "images"),
    "mask": ({"image_url": "https://a.example/mask"}, "mask"),
    "quality": ("high", "tier"),
    "background": ("opaque", None),
    "input_fidelity": ("low", None),
    "moderation": ("low", None),
    "output_format": ("webp", "output"),
    "output_compression": (61, "output"),
    "response_format": ("url", "output"),
    "partial_images": (2, None),
    "user": ("u-1", "metadata"),
    "safety_identifier": ("s-1", "metadata"),
}
OF_THE_ROUTE = {
    "model": "tests/openai_surface/test_model_names.py",
    "stream": "tests/openai_surface/test_official_python_sdk.py",
}


def fields() -> Iterator[str]:
    for field in structs.fields(EditRequest):
        if field.name == "output":
            yield from (f"output.{inner.name}" for inner in structs.fields(OutputRequest))
        else:
            yield field.name


def test_every_field_of_a_request_has_a_row() -> None:
    assert set(fields()) == set(WIRED) | set(OURS)
    assert {field.name for field in structs.fields(ImageEditRequest)} == set(TRANSLATED) | set(OF_THE_ROUTE)


@pytest.mark.parametrize("field", TRANSLATED)
def test_a_field_of_openais_becomes_one_of_an_edits_or_is_told(settings: Settings, field: str) -> None:
    value, becomes = TRANSLATED[field]
    base = {"prompt": "Make the mug blue", "images": [{"image_url": "https://a.example/one"}]}
    plain = translated(Parts({**base}), settings, strict=True)
    asked = translated(Parts({**base, field: value}), settings, strict=True)
    request = structs.asdict(asked.form.request)
    changed = {name for name, before in structs.asdict(plain.form.request).items() if request[name] != before}
    assert changed == ({becomes} if becomes else set())
    assert becomes or field in {one.field for one in asked.adjustments}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("matrix") / "kontext.toml"
    path.write_text(CONFIG)
    return load(path, {"KEY": "secret"}, date(2027, 1, 15))


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def requested(**fields: Any) -> EditRequest:
    return read_json(msgspec.json.encode({**BASE, **fields}))


def with_field(field: str, value: object) -> EditRequest:
    outer, _, inner = field.partition(".")
    if field == "output.quality":
        return requested(output={"format": "jpeg", "quality": value})
    return requested(**({outer: {inner: value}} if inner else {outer: value}))


def call_of(settings: Settings, request: EditRequest, offer: Offer, number: int = 1) -> HttpCall | None:
    """The call that may cost money, at this place of a chain; None where the offer is unfit."""
    named = {f"images[{index}]": image for index, image in enumerate(request.images)}
    named |= {"mask": request.mask} if request.mask else {}
    pictures = {
        field: Picture(digest(url.rpartition("/")[2]), ImageFormat.PNG, 480, 320, 9) for field, url in named.items()
    }
    edit = edit_of(request, pictures)
    if not isinstance(fit(edit, offer), Fit):
        return None
    attempt = Attempt(id="ab" * 16, number=number, edit=edit, offer=offer)
    return settings.providers[offer.provider].adapter.submit(attempt).call


def wire(call: HttpCall) -> str:
    """Everything of the call that is sent, pictures as their names."""
    text = call.url
    match call.body:
        case Json(body, uploads):
            text += json.dumps(json.loads(body), ensure_ascii=False) + "".join(upload.digest for upload in uploads)
        case Form(pairs, files):
            text += json.dumps(pairs, ensure_ascii=False)
            text += "".join(f"{file.name}={file.upload.digest}" for file in files)
        case _:
            text += msgspec.json.encode(call).decode()
    for name in ("one", "two", "mask"):
        text = text.replace(digest(name), f"<{name}>")
    return text


def adjusted(settings: Settings, request: EditRequest, offer: Offer) -> set[str]:
    picture = Picture(digest("one"), ImageFormat.PNG, 480, 320, 9)
    fitted = fit(edit_of(request, {"images[0]": picture, **({"mask": picture} if request.mask else {})}), offer)
    return {one.field.partition(".")[0] for one in fitted.adjustments} if isinstance(fitted, Fit) else set()


@pytest.mark.parametrize("field", WIRED)
def test_a_field_reaches_the_wire_or_is_told_or_refused(settings: Settings, field: str) -> None:
    value, traces = WIRED[field]
    request = with_field(field, value)
    reached = 0
    for offer in settings.offers.values():
        call = call_of(settings, request, offer)
        if call is None:  # refused: its plan has it among the exclusions
            continue
        sent = wire(call)
        found = any(trace in sent for trace in traces) and sent != wire_of_base(settings, offer)
        told = field.partition(".")[0] in adjusted(settings, request, offer)
        reached += found
        assert found or told or field in TRANSCODED, f"{field} is lost at {offer.name}: {sent}"
    assert reached or field == "images", f"no offer takes {field}"


def wire_of_base(settings: Settings, offer: Offer) -> str:
    call = call_of(settings, requested(), offer)
    assert call is not None
    return wire(call)


def test_the_bytes_and_the_model_are_the_same_at_every_place_of_a_chain(settings: Settings) -> None:
    """An attempt's place changes nothing of what is asked: not the picture, not the model, not a dial."""
    request = requested(seed=4711, n=2)
    for offer in settings.offers.values():
        calls = [call_of(settings, request, offer, number) for number in range(1, 5)]
        assert len({msgspec.json.encode(call) for call in calls}) == 1
        call = calls[0]
        assert call is not None
        assert call.step is Step.SUBMIT
        assert offer.wire_model in wire(call)
        assert "<one>" in wire(call)


BOUGHT = (
    "runware/kontext-pro",
    "runware/kontext-max",
    "runware/kontext-dev",
    "runflow/kontext-pro",
    "runflow/kontext-max",
)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("offer", BOUGHT)
async def test_each_offer_is_bought_by_its_own_name_as_first_and_as_fallback(stage: Stage, offer: str) -> None:
    first = await stage.edit(models=[offer], tier="draft")
    other = next(name for name in BOUGHT if name.partition("/")[0] != offer.partition("/")[0])
    stage.rehearsal.faults.add(other.partition("/")[0], "busy", times=1)
    second = await stage.edit(models=[other, offer], tier="draft")
    assert [attempt["offer"] for attempt in second["routing"]["attempts"]] == [other, offer]
    assert stage.billed() == [offer, offer]
    assert first["sent"] == second["sent"]

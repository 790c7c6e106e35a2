"""Every parameter that a provider documents is reachable, and the README says where: claims held against the wire."""

import json
import re

import msgspec
import pytest

from adapters.contract import Abilities, Attempt, Edit, ImageFormat, Json, Offer, Picture, Pixels
from adapters.options import Accelerator, IpAdapter, Lora, Options, RunwareOptions, Safety, Ultralytics
from adapters.runware import Runware
from gateway.api.requests import EditRequest
from gateway.catalogue import offers, read_catalogue
from tests.adapters.seed_parameters import GATEWAY, PLACES, README, documented, with_table

PHOTO = Picture("a" * 64, ImageFormat.JPEG, 1248, 832, 1)
OFFERS = {offer.name: offer for offer in offers("runware", read_catalogue("runware"), {}, billed=True)}
# What the gateway does itself for every provider alike, so it is on nobody's wire.
GATEWAY_DOES = {"uploadEndpoint", "ttl"}
# Objects that hold parameters without being one.
HOLDERS = {"inputs", "providerSettings", "providerSettings.bfl"}


def test_the_table_holds_exactly_what_is_documented():
    assert {page: sorted(places) for page, places in PLACES.items()} == {
        page: sorted(names) for page, names in documented().items()
    }


def test_the_readme_shows_the_table():
    text = README.read_text()
    assert text == with_table(text), "stale: run python -m tests.adapters.seed_parameters"


def request_fields(page: str) -> list[str]:
    """The request fields that the table names, such as `options.runware.scheduler`."""
    return [field for place in PLACES[page].values() for field in re.findall(r"`([a-z][\w.]*)`", place)]


@pytest.mark.parametrize("page", [page for page in PLACES if page != "runware answer"])
def test_every_place_is_a_field_of_a_request(page):
    for field in request_fields(page):
        if field not in ("imageInference", "async", "cost"):
            assert reachable(field), field


def reachable(path: str) -> bool:
    """Whether a request may hold `path`: one that does is refused for the value at most, never for an unknown field."""
    document: object = {"$": 1}
    for name in reversed(path.split(".")):
        document = {name: document}
    assert isinstance(document, dict)
    try:
        msgspec.convert({"prompt": "xx", "images": ["u"]} | document, EditRequest)
    except msgspec.ValidationError as error:
        return "unknown field" not in str(error) or "`$`" in str(error)
    return True


def test_an_unknown_place_would_be_noticed():
    assert not reachable("options.runware.sampler")
    assert not reachable("output.colour")


ACCELERATOR = Accelerator(
    tea_cache=True, tea_cache_distance=0.5, fb_cache=True, fb_cache_threshold=0.25, db_cache=True,
    db_cache_threshold=0.25, db_cache_skip_interval=5, cache_start_step=1, cache_end_step=20,
    cache_max_consecutive_steps=3,
)  # fmt: skip
PERCENT = Accelerator(cache_start_step_percentage=10, cache_end_step_percentage=90)
EVERYTHING = Edit(
    prompt="Make the mug blue", images=(PHOTO,), size=Pixels(1248, 832), n=2, seed=1, guidance=7.5, steps=28,
    negative_prompt="text", flag_nsfw=True, output_format=ImageFormat.JPEG, output_quality=80,
    options=Options(runware=RunwareOptions(
        scheduler="Euler",
        true_cfg_scale=2.0,
        lora=(Lora(model="a:1@1", weight=0.5, transformer="both"),),
        ip_adapters=(IpAdapter(
            model="a:1@1", guide_images=("b" * 64,), weight=1.0, combine_method="add", embed_scaling="kv",
            weight_type="normal", weight_composition=0.5,
        ),),
        accelerator_options=ACCELERATOR,
        ultralytics=Ultralytics(
            cfg_scale=8.0, confidence=0.9, mask_blur=5, mask_padding=5, steps=20, strength=0.3, positive_prompt="a",
            negative_prompt="b",
        ),
        safety=Safety(mode="fast"),
    )),
)  # fmt: skip


def wishes(abilities: Abilities) -> list[Edit]:
    """Edits that between them ask for everything the model takes."""
    edit = EVERYTHING
    if abilities.safety:
        edit = msgspec.structs.replace(edit, safety=2, enhance_prompt=True)
    assert edit.options.runware
    percent = msgspec.structs.replace(edit.options.runware, accelerator_options=PERCENT)
    return [edit, msgspec.structs.replace(edit, options=Options(runware=percent))]


def names(document: object, prefix: str = "") -> set[str]:
    if isinstance(document, list):
        return set().union(*(names(item, prefix) for item in document))
    if not isinstance(document, dict):
        return set()
    paths = {f"{prefix}{key}" for key in document}
    return paths.union(*(names(value, f"{prefix}{key}.") for key, value in document.items()))


def sent_names(offer: Offer) -> set[str]:
    found: set[str] = set()
    for edit in wishes(offer.abilities):
        attempt = Attempt(id="1" * 32, number=1, edit=edit, offer=offer, callback_url="https://gw.example.com/c")
        body = Runware().submit(attempt).call.body
        assert isinstance(body, Json)
        found |= names(json.loads(body.text))
    return found


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_every_documented_parameter_is_on_the_wire_and_no_other(name):
    assert sent_names(OFFERS[name]) - HOLDERS == set(documented()[name]) - GATEWAY_DOES


def test_what_the_gateway_decides_is_said_in_words():
    decided = [place for places in PLACES.values() for place in places.values() if place.startswith(GATEWAY)]
    assert all(len(place) > len(GATEWAY) for place in decided)

"""What a Runflow run orders: which picture, how many, at which price."""

from gateway.rehearsal.backstage import Order
from gateway.rehearsal.exchange import JsonObject, Provider, json_object, text_of
from gateway.rehearsal.pictures import Recipe, Source, first_words
from gateway.rehearsal.runflow_models import ACCEPTED, Model
from gateway.rehearsal.runware_models import nearest_size

PILLOW_FORMATS = {"jpeg": "JPEG", "png": "PNG"}


def order_of(model: Model, body: JsonObject, source: Source | None, run_id: str) -> Order:
    wanted = json_object(body["input"]) or {}
    count = wanted.get("num_images", 1)
    width, height = _size(wanted, source)
    recipe = Recipe(
        source=source.digest if source else None,
        width=width,
        height=height,
        model=model.tint,
        words=first_words(text_of(wanted["prompt"])),
        format=PILLOW_FORMATS[text_of(wanted.get("output_format", "jpeg"))],
    )
    return Order(
        provider=Provider.RUNFLOW,
        id=run_id,
        key=text_of(body.get("client_ref")) or run_id,
        name=model.name,
        models=(model.id, model.name),
        recipe=recipe,
        count=count if isinstance(count, int) else 1,
        price_micro_usd=model.price_micro_usd,
        signed_links=True,
    )


def _size(wanted: JsonObject, source: Source | None) -> tuple[int, int]:
    asked = text_of(wanted.get("aspect_ratio"))
    if asked:
        return ACCEPTED["both"][asked]
    return nearest_size(source.width, source.height) if source else (1024, 1024)

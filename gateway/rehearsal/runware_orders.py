"""What a Runware task orders: which picture, how many, at which price."""

from gateway.rehearsal.backstage import Order
from gateway.rehearsal.exchange import JsonObject, Provider, text_of
from gateway.rehearsal.files import File
from gateway.rehearsal.pictures import Recipe, Source, first_words
from gateway.rehearsal.runware_models import MODELS, nearest_size

PILLOW_FORMATS = {"JPG": "JPEG", "PNG": "PNG", "WEBP": "WEBP"}


def order_of(task: JsonObject, source: Source | None) -> Order:
    model, task_id = MODELS[text_of(task["model"])], text_of(task["taskUUID"])
    width, height = _size(task, source)
    count, quality = task.get("numberResults", 1), task.get("outputQuality", 95)
    recipe = Recipe(
        source=source.digest if source else None,
        width=width,
        height=height,
        model=model.tint,
        words=first_words(text_of(task["positivePrompt"])),
        format=PILLOW_FORMATS[text_of(task.get("outputFormat", "JPG"))],
        quality=quality if isinstance(quality, int) else 95,
    )
    return Order(
        provider=Provider.RUNWARE,
        id=task_id,
        key=task_id,
        name=model.name,
        models=(model.air, model.name),
        recipe=recipe,
        count=count if isinstance(count, int) else 1,
        price_micro_usd=model.price_micro_usd(task),
    )


def _size(task: JsonObject, source: Source | None) -> tuple[int, int]:
    width, height = task.get("width"), task.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return width, height
    return nearest_size(source.width, source.height) if source else (1024, 1024)


def seed_of(task: JsonObject, file: File) -> int:
    """The seed asked for, or one that stays the same from poll to poll."""
    asked = task.get("seed")
    first = asked if isinstance(asked, int) else int(file.owner.replace("-", "")[:8], 16)
    return (first + file.recipe.number) % 2**63

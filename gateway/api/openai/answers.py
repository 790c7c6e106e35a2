"""An edit as OpenAI's images answer; what is ours stands beside it, as `kontext` in the body and in `x-kontext-*`."""

from msgspec import Struct

from adapters.contract import Adjustment, ImageFormat, Tier
from gateway.api.answers import EditAnswer, ImageAnswer

QUALITIES: dict[str | None, str] = {
    Tier.PREVIEW: "low",
    Tier.DRAFT: "low",
    Tier.STANDARD: "medium",
    Tier.PREMIUM: "high",
}


class TokenDetails(Struct, frozen=True, kw_only=True):
    image_tokens: int = 0
    text_tokens: int = 0


class Usage(Struct, frozen=True, kw_only=True):
    """Nobody counts tokens here: what an edit cost is in `kontext` and `x-kontext-cost-usd`."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: TokenDetails = TokenDetails()
    output_tokens_details: TokenDetails = TokenDetails()


class ImageData(Struct, frozen=True, kw_only=True):
    """`b64_json` or `url` is set. `revised_prompt` stays null: nothing here rewrites a prompt and tells."""

    b64_json: str | None
    url: str | None
    revised_prompt: str | None = None
    seed: int | None = None
    nsfw: bool | None = None
    warnings: tuple[str, ...] = ()


class Ours(Struct, frozen=True, kw_only=True):
    """What this gateway knows of the edit: `GET /v1/edits/{edit}` has the whole story."""

    edit: str
    provider: str | None
    model: str | None
    tier: str | None
    degraded: bool
    late: bool
    cost_usd: str
    cost_source: str | None
    adjustments: tuple[Adjustment, ...]
    notes: tuple[str, ...]


class ImagesAnswer(Struct, frozen=True, kw_only=True):
    created: int
    data: tuple[ImageData, ...]
    size: str
    quality: str
    output_format: ImageFormat
    usage: Usage
    kontext: Ours


class CompletedEvent(Struct, frozen=True, kw_only=True):
    """One picture of a stream; each of several has an event of its own."""

    type: str = "image_edit.completed"
    created_at: int
    b64_json: str | None
    url: str | None
    size: str
    quality: str
    background: str = "auto"
    output_format: ImageFormat
    usage: Usage
    kontext: Ours


def images_answer(edit: EditAnswer, created: int, adjustments: tuple[Adjustment, ...]) -> ImagesAnswer:
    """`adjustments`: those of the request's translation, which come first."""
    first = edit.images[0]
    return ImagesAnswer(
        created=created,
        data=tuple(_data(image) for image in edit.images),
        size=f"{first.width}x{first.height}",
        quality=QUALITIES.get(edit.tier, "auto"),
        output_format=first.format,
        usage=Usage(),
        kontext=Ours(
            edit=edit.id,
            provider=edit.provider,
            model=edit.model,
            tier=edit.tier,
            degraded=edit.degraded,
            late=edit.late,
            cost_usd=edit.cost.usd,
            cost_source=edit.cost.source,
            adjustments=(*adjustments, *edit.adjustments),
            notes=edit.notes,
        ),
    )


def completed_events(answer: ImagesAnswer) -> tuple[CompletedEvent, ...]:
    return tuple(
        CompletedEvent(
            created_at=answer.created,
            b64_json=image.b64_json,
            url=image.url,
            size=answer.size,
            quality=answer.quality,
            output_format=answer.output_format,
            usage=answer.usage,
            kontext=answer.kontext,
        )
        for image in answer.data
    )


def _data(image: ImageAnswer) -> ImageData:
    return ImageData(
        b64_json=image.base64,
        url=image.url or image.data_uri,
        seed=image.seed,
        nsfw=image.nsfw,
        warnings=image.warnings,
    )


def headers_of(answer: ImagesAnswer) -> dict[str, str]:
    ours = answer.kontext
    headers = {"x-kontext-cost-usd": ours.cost_usd, "x-kontext-model": f"{ours.provider}/{ours.model}"}
    headers["x-kontext-provider"] = ours.provider or ""
    if ours.adjustments:
        headers["x-kontext-adjustments"] = ",".join(one.field for one in ours.adjustments)
    return headers

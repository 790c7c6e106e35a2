"""What a caller gets: an edit as the API shows it, with its money, its pictures and the story of its routing."""

from base64 import b64encode
from typing import Literal

from msgspec import Struct

from adapters.contract import Adjustment, Edit, ImageFormat, Offer
from adapters.fit import Fit, fit
from gateway.api.links import Links
from gateway.api.problems import FAILURES
from gateway.api.routing import RoutingAnswer, routing
from gateway.clock import iso
from gateway.current import Current
from gateway.engine.ends import spent_micro
from gateway.money import usd
from gateway.results import MissingPicture, Results
from gateway.state.records import EditRecord, End, Image, Status

Content = Literal["kept", "expired", "erasing", "erased"]


class ImageAnswer(Struct, frozen=True, kw_only=True):
    """One picture. `url`, `base64` or `data_uri` is set, by `output.delivery`; none of them once it was erased."""

    url: str | None
    width: int
    height: int
    format: ImageFormat
    seed: int | None
    sha256: str
    bytes: int
    nsfw: bool | None
    warnings: tuple[str, ...]
    base64: str | None = None
    data_uri: str | None = None


class CostAnswer(Struct, frozen=True, kw_only=True):
    """`source`: provider (its own figure), table (our price list) or local (nobody bills)."""

    usd: str
    source: str | None
    quoted_usd: str


class ErrorAnswer(Struct, frozen=True, kw_only=True):
    type: str
    detail: str


class EditAnswer(Struct, frozen=True, kw_only=True):
    """`cancel_requested`: its caller asked for its end, and what is under way goes on at the provider. `content`: what
    became of prompt and pictures. `expired`: the prompt's time is over; `erasing`: as `erased`, but for what is needed
    to find out what was charged."""

    id: str
    status: Status
    cancel_requested: bool
    content: Content
    tier: str | None
    asked_tier: str
    degraded: bool
    late: bool
    provider: str | None
    model: str | None
    images: tuple[ImageAnswer, ...]
    cost: CostAnswer
    adjustments: tuple[Adjustment, ...]
    sent: dict[str, str]
    notes: tuple[str, ...]
    routing: RoutingAnswer
    metadata: dict[str, str]
    created_at: str
    finished_at: str | None
    error: ErrorAnswer | None


class Answers:
    """Makes answers from records. `root` is the gateway's own public address, without a slash at its end."""

    def __init__(self, current: Current, links: Links, results: Results, keep_s: float) -> None:
        self._current, self._links, self._results, self._keep_s = current, links, results, keep_s

    async def edit(self, record: EditRecord, root: str, *, inline: bool = True) -> EditAnswer:
        """`inline` False gives addresses, whatever `output.delivery` says: for a list."""
        end = record.end or End(status=record.status)
        found = self._current.find(end.offer) if end.offer else None
        offer = found[0] if found else None
        provider, _, model = (end.offer or "").partition("/")
        return EditAnswer(
            id=record.id,
            status=record.status,
            cancel_requested=bool(record.cancel_ms),
            content=_content(record),
            tier=offer.tier.value if offer else None,
            asked_tier=record.plan.tier.value,
            degraded=offer is not None and offer.tier.rank < record.plan.tier.rank,
            late=end.late,
            provider=provider or None,
            model=model or None,
            images=tuple(
                [await self._image(record, number, image, root, inline) for number, image in enumerate(end.images)]
            ),
            cost=_cost(record, end),
            adjustments=_adjustments(record, end),
            sent=sent_for(record.edit, offer) if offer else {},
            notes=end.notes,
            routing=routing(record),
            metadata=record.wish.metadata,
            created_at=iso(record.created_ms),
            finished_at=iso(record.finished_ms) if record.finished_ms else None,
            error=_error(end),
        )

    def expires_s(self, record: EditRecord) -> int:
        """Until when the pictures of a finished edit can be fetched, in epoch seconds."""
        return int(record.pictures_until_s(self._keep_s))

    async def _image(self, record: EditRecord, number: int, image: Image, root: str, inline: bool) -> ImageAnswer:
        delivery = record.wish.output.delivery
        there = not record.erase_ms
        text = await self._text(record, image) if there and inline and delivery != "url" else None
        by_address = there and text is None
        return ImageAnswer(
            url=root + self._links.path(record.id, number, self.expires_s(record)) if by_address else None,
            base64=text if delivery == "base64" else None,
            data_uri=f"data:{image.format.media_type};base64,{text}" if delivery == "data_uri" else None,
            width=image.width,
            height=image.height,
            format=image.format,
            seed=image.seed,
            sha256=image.digest,
            bytes=image.bytes,
            nsfw=image.nsfw,
            warnings=image.warnings,
        )

    async def _text(self, record: EditRecord, image: Image) -> str | None:
        """None for a picture that is gone: the edit's address says so then."""
        try:
            return b64encode(await self._results.get(record.team, "results", image.digest)).decode("ascii")
        except MissingPicture:
            return None


def _content(record: EditRecord) -> Content:
    if record.erase_ms:
        return "erased" if record.emptied_ms else "erasing"
    return "expired" if record.emptied_ms else "kept"


def _cost(record: EditRecord, end: End) -> CostAnswer:
    sources = [attempt.cost_source for attempt in record.attempts if attempt.cost_source]
    quoted = record.plan.candidates[0].price_micro if record.plan.candidates else 0
    cost_micro = max(end.cost_micro, spent_micro(record.attempts))  # an outrun attempt's is known later than the end
    return CostAnswer(usd=usd(cost_micro), source=sources[-1] if sources else None, quoted_usd=usd(quoted))


def _adjustments(record: EditRecord, end: End) -> tuple[Adjustment, ...]:
    """Those of the offer that delivered; before that, those of the offer that is tried first."""
    by_offer = {candidate.offer: candidate.adjustments for candidate in record.plan.candidates}
    offer = end.offer or (record.plan.candidates[0].offer if record.plan.candidates else "")
    return by_offer.get(offer, ())


def sent_for(edit: Edit, offer: Offer) -> dict[str, str]:
    """What `auto` and the like come to at an offer."""
    fitted = fit(edit, offer)
    if not isinstance(fitted, Fit):
        return {}
    values = {"size": fitted.sent.size, "ratio": fitted.sent.ratio}
    return {name: str(value) for name, value in values.items() if value is not None}


_OF_FAILURES: dict[str, str] = {failure.value: problem for failure, problem in FAILURES.items()}


def problem_kind(end: End) -> str:
    """The API's problem kind of an edit that did not succeed."""
    kind = end.problem.kind if end.problem else "internal"
    return _OF_FAILURES.get(kind, kind)


def _error(end: End) -> ErrorAnswer | None:
    return ErrorAnswer(type=problem_kind(end), detail=end.problem.detail) if end.problem else None

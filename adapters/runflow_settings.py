"""What Runflow's documentation leaves open or tells in two ways, as settings with the safer choice as their default."""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from adapters.contract import Auth

Style = Literal["ratio", "preset"]


class Statuses(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The words that end a run. Any other word means: not yet. Both spellings of cancelled are in the documentation."""

    succeeded: tuple[str, ...] = ("succeeded",)
    partial: tuple[str, ...] = ("partial_succeeded",)
    failed: tuple[str, ...] = ("failed", "errored")
    cancelled: tuple[str, ...] = ("canceled", "cancelled")


class RunflowSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the documentation leaves open. Paths are relative to the base.

    `inline_limit_bytes`: the longest data URI sent in the request; larger pictures are uploaded first (0: all are).
    `quarantine_s`: how long a lost run is looked for; longer than the run list lags behind. `absent_after_s`: so long
    after the submit, a run that the whole list does not show was never started; left out, silence proves nothing, since
    no document says how far the list lags behind. `trust_503`: a 503 means that nothing was started. `output_paths`:
    where pictures may be, tried in this order. `moderation`: a pattern that tells a refusal of content by its code or
    words, since no code is documented.
    """

    submit_path: str = "v1/models/{model_id}/runs"
    poll_path: str = "v1/runs/{run_id}"
    list_path: str = "v1/runs"
    upload_path: str = "v1/asset-uploads"
    confirm_path: str = "v1/asset-uploads/{asset_id}/confirmations"
    auth: Auth = Auth()
    organization_id: str | None = None
    input_key: str = "input"
    aspect_ratio_style: Style = "ratio"
    send_idempotency_key: bool = True
    inline_limit_bytes: Annotated[int, Meta(ge=0)] = 1_048_576
    quarantine_s: Annotated[float, Meta(ge=0)] = 60.0
    absent_after_s: Annotated[float, Meta(ge=0)] | None = None
    trust_503: bool = True
    statuses: Statuses = Statuses()
    output_paths: tuple[str, ...] = (
        "outputs[].url",
        "image_urls[]",
        "image.url",
        "url",
        "output_url",
        "images[].url",
        "images[]",
    )
    moderation: str = r"moderat|nsfw|safety(?!_tolerance)|content.?polic|sensitive"

    def __post_init__(self) -> None:
        for name, slot in PATHS.items():
            path: str = getattr(self, name)
            if "://" in path or slot not in path:
                raise ValueError(f"{name} must be relative to base_url{slot and f' and hold {slot}'}; got {path!r}")
        try:
            re.compile(self.moderation)
        except re.error as error:
            raise ValueError(f"moderation must be a regular expression: {error}") from None


PATHS = {
    "submit_path": "{model_id}",
    "poll_path": "{run_id}",
    "list_path": "",
    "upload_path": "",
    "confirm_path": "{asset_id}",
}

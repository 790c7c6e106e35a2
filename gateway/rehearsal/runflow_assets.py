"""Runflow's assets: announce, upload to a presigned address, confirm; and what an `image_url` leads to."""

from msgspec import Struct

from gateway.rehearsal.backstage import new_id
from gateway.rehearsal.exchange import JsonObject, Request, text_of
from gateway.rehearsal.pictures import NotAPictureError, Source, Studio
from gateway.rehearsal.references import inline_source
from gateway.rehearsal.runflow_errors import ASSET_WITH_KEY, NO_ASSET, NOT_A_PICTURE, Refusal, invalid

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
LONGEST_INLINE = 1_048_576
LARGEST_ASSET = 52_428_800


class Asset(Struct, frozen=True):
    """`source` is there once the bytes are; only a confirmed asset can be used."""

    media_type: str
    source: Source | None = None
    confirmed: bool = False


class Assets:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._assets: dict[str, Asset] = {}

    def clear(self) -> None:
        self._assets.clear()

    def announce(self, request: Request, body: JsonObject) -> JsonObject | Refusal:
        size, media_type = body.get("size_bytes"), text_of(body.get("mime_type"))
        if not isinstance(size, int) or not 0 < size <= LARGEST_ASSET:
            return invalid(("size_bytes", f"must be an integer from 1 to {LARGEST_ASSET}"))
        if not media_type.startswith("image/") or not text_of(body.get("filename")):
            return invalid(("mime_type", "filename and an image type are required"))
        asset_id = new_id()
        self._assets[asset_id] = Asset(media_type)
        address = f"{request.origin}/runflow/v1/asset-uploads/{asset_id}?signature={_signature(asset_id)}"
        return {"asset_id": asset_id, "upload_url": address}

    async def put(self, request: Request, asset_id: str) -> Refusal | None:
        """Take the bytes. The address is presigned, so a credential sent along is refused: it would have leaked."""
        asset = self._assets.get(asset_id)
        if asset is None or request.query.get("signature") != _signature(asset_id):
            return NO_ASSET
        if "authorization" in request.headers:
            return ASSET_WITH_KEY
        if request.headers.get("content-type") != asset.media_type:
            return invalid(("content-type", f"must be {asset.media_type}, as announced"))
        try:
            source = await self._studio.take_in(request.body, FORMATS)
        except NotAPictureError:
            return NOT_A_PICTURE
        self._assets[asset_id] = Asset(asset.media_type, source)
        return None

    def confirm(self, request: Request, asset_id: str) -> JsonObject | Refusal:
        asset = self._assets.get(asset_id)
        if asset is None or asset.source is None:
            return NO_ASSET
        self._assets[asset_id] = Asset(asset.media_type, asset.source, confirmed=True)
        address = f"{request.origin}/runflow/assets/{asset_id}?signature={_signature(asset_id)}"
        return {"id": asset_id, "asset_id": asset_id, "mime_type": asset.media_type, "url": address}

    async def source_of(self, address: str, origin: str) -> Source | str | None:
        """The picture behind `image_url`; or what is wrong with it; `None` for a foreign link, which stands for any."""
        if address.startswith("data:"):
            return await self._inline(address)
        asset_id = address.removeprefix("runflow://assets/").removeprefix(f"{origin}/runflow/assets/")
        if asset_id != address:
            asset = self._assets.get(asset_id.partition("?")[0])
            return asset.source if asset and asset.confirmed else "names no confirmed asset"
        return None if address.startswith("https://") else "must be an https, data or runflow URL"

    async def _inline(self, address: str) -> Source | str:
        if len(address) > LONGEST_INLINE:
            return "is too long to be inline: upload it as an asset"
        try:
            return await inline_source(self._studio, address, FORMATS)
        except NotAPictureError:
            return "is not a picture of an accepted type"


def _signature(asset_id: str) -> str:
    return asset_id[:8]

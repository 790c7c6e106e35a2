"""The only sender: an `HttpCall` becomes bytes on the wire here, credential and pictures added last.

Pictures are read from the store when they are sent and let go right after, so that an edit that waits for a provider
holds none in memory.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from importlib.metadata import version

import msgspec

from adapters.contract import Auth, Bytes, Edit, Form, HttpCall, HttpReply, Json, Upload
from gateway.clock import Clock
from gateway.egress import PROVIDER, RESULT, Egress, Profile
from gateway.egress.multipart import FilePart, multipart
from gateway.pictures import Pictures
from gateway.results import Results
from gateway.settings import Provider

USER_AGENT = f"kontext-gateway/{version('kontext-gateway')}"
STAMP_GOOD_S = 2.0
_INLINE_ENCODING = 256_000  # base64 of this many bytes takes under a millisecond of the event loop


class StampExpired(Exception):  # noqa: N818 - the name is the fact
    """A POST was not begun within 2 s of its stamp, so whoever claimed the edit meanwhile may already be resolving
    it: stamp anew, and learn whether the edit is still ours."""


class Wire:
    """Sends calls to the configured providers and fetches what their answers link to."""

    def __init__(self, egress: Egress, results: Results, pictures: Pictures, clock: Clock) -> None:
        self._egress, self._results, self._pictures, self._clock = egress, results, pictures, clock
        self._profiles: dict[str, _Profiles] = {}

    async def send(
        self,
        provider: Provider,
        team: str,
        edit: Edit,
        call: HttpCall,
        *,
        stamped_s: float,
        timeout_s: float | None = None,
        trace: Mapping[str, str] | None = None,
    ) -> HttpReply:
        """One call, one answer. `stamped_s`: the monotonic second at which the stamp of a paid call was confirmed.
        `trace`: the header fields of its span, for the provider alone.

        Raises `NotSent`, `MaybeSent` and, before anything is sent, `StampExpired`.
        """
        headers = {"user-agent": USER_AGENT, "accept": "application/json", **dict(call.headers)}
        body = await self._body(team, edit, call, headers)
        url = call.url
        if "://" not in url:
            headers |= {**_credential(provider), **(trace or {})}
            url = f"{provider.base_url}/{url}" if url else provider.base_url
        if call.step.may_cost and self._clock.monotonic() - stamped_s > STAMP_GOOD_S:
            raise StampExpired
        # A reused connection that resets would leave a paid call unknown where nobody can look it up by our id.
        fresh = call.step.may_cost and not provider.adapter.client_ids
        profile = self._profiles_of(provider).calls
        return await self._egress.send(profile, call.method, url, headers, body, timeout_s=timeout_s, fresh=fresh)

    async def health(self, provider: Provider, *, timeout_s: float) -> HttpReply:
        """How the provider's server says that it is, beside its `/v1`. Raises `EgressError`, and `ValueError` where its
        adapter knows no place to ask."""
        if provider.adapter.health_path is None:
            raise ValueError(f"{provider.name} has no place to ask how it is")
        headers = {"user-agent": USER_AGENT, "accept": "application/json", **_credential(provider)}
        url = provider.base_url.removesuffix("/v1") + provider.adapter.health_path
        return await self._egress.send(self._profiles_of(provider).calls, "GET", url, headers, timeout_s=timeout_s)

    async def fetch(self, provider: Provider, url: str) -> HttpReply:
        """What a result link holds, without any credential."""
        headers = {"user-agent": USER_AGENT, "accept": "image/*"}
        return await self._egress.send(self._profiles_of(provider).links, "GET", url, headers)

    def _profiles_of(self, provider: Provider) -> "_Profiles":
        """Made once a provider and configuration."""
        known = self._profiles.get(provider.name)
        if known is None or known.provider is not provider:
            known = self._profiles[provider.name] = _profiles(provider)
        return known

    async def _body(self, team: str, edit: Edit, call: HttpCall, headers: dict[str, str]) -> bytes | None:
        match call.body:
            case None:
                return None
            case Json(text, uploads):
                headers["content-type"] = "application/json"
                return await self._json(team, edit, text, uploads)
            case Form():
                content_type, body = multipart(call.body.fields, await self._parts(team, call.body))
                headers["content-type"] = content_type
                return body
            case Bytes(upload, media_type):
                headers["content-type"] = media_type
                return await self._picture(team, upload)

    async def _picture(self, team: str, upload: Upload) -> bytes:
        """Raises `MissingPicture`, and `BadPicture` for what cannot be converted."""
        data = await self._results.get(team, "inputs", upload.digest)
        if upload.mask:
            return await self._pictures.converted_mask(data, upload.mask)
        return await self._pictures.as_png(data) if upload.png else data

    async def _parts(self, team: str, form: Form) -> list[FilePart]:
        return [
            (file.name, file.filename, file.media_type, await self._picture(team, file.upload)) for file in form.files
        ]

    async def _json(self, team: str, edit: Edit, text: str, uploads: tuple[Upload, ...]) -> bytes:
        if not uploads:
            return text.encode()
        pictures = [await self._picture(team, upload) for upload in uploads]
        if sum(map(len, pictures)) <= _INLINE_ENCODING:
            return _filled(edit, text, uploads, pictures)
        return await asyncio.to_thread(_filled, edit, text, uploads, pictures)


class _Profiles(msgspec.Struct, frozen=True):
    """How a provider is called, and how what its answers link to is fetched."""

    provider: Provider
    calls: Profile
    links: Profile


def _profiles(provider: Provider) -> _Profiles:
    calls = msgspec.structs.replace(PROVIDER.at(provider.base_url), total_s=provider.timeout_s)
    return _Profiles(provider, calls, RESULT.at(provider.base_url, provider.result_hosts or None))


def _credential(provider: Provider) -> dict[str, str]:
    auth: Auth = provider.adapter.auth
    if provider.key is None or auth.header is None:
        return {}
    return {auth.header.lower(): f"{auth.scheme} {provider.key.reveal()}".strip()}


def _filled(edit: Edit, text: str, uploads: tuple[Upload, ...], pictures: list[bytes]) -> bytes:
    """The document with each picture in the place of its `null`."""
    document = msgspec.json.decode(text)
    for upload, picture in zip(uploads, pictures, strict=True):
        place = document
        for key in upload.path[:-1]:
            place = place[key]
        place[upload.path[-1]] = _as_text(edit, upload, picture)
    return msgspec.json.encode(document)


def _as_text(edit: Edit, upload: Upload, picture: bytes) -> str:
    text = b64encode(picture).decode("ascii")
    if upload.as_ == "data_uri":
        return f"data:{edit.picture(upload.digest).format.media_type};base64,{text}"
    return text

"""At the door, before anything is fetched: how often this key asks, and whether the request is one we already have.

A request with an `Idempotency-Key` claims it; whoever comes second with the same request joins the first one's edit.
A request of an SDK that counts its own repeats claims its fingerprint instead.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from msgspec import Struct

from gateway.api.idempotency import EDITS
from gateway.api.problems import ProblemError
from gateway.settings import Key
from gateway.state.claims import Claim, Claimed, Claims, InCreation, Joined, New, OtherRequest
from gateway.state.connection import StoreUnavailable
from gateway.state.patience import Patience
from gateway.state.rates import Rate, Rates

RENEW_S = 10.0
CREATION_POLL_S = 0.25


class Identity(Struct, frozen=True, kw_only=True):
    """What makes a request the same as another. `repeat`: an SDK's count of its repeats; None where it sent none."""

    fingerprint: str
    key: str | None = None
    repeat: int | None = None
    route: str = EDITS


class Admission:
    """Its steps are kept while the store is away for a moment (`patience`)."""

    def __init__(self, claims: Claims, rates: Rates, random_bytes: Callable[[int], bytes], patience: Patience) -> None:
        self._claims, self._rates, self._random_bytes, self._patience = claims, rates, random_bytes, patience

    async def rate(self, key: Key) -> dict[str, str]:
        """The RateLimit header fields of an admitted request. Raises a 429 problem that holds them too."""
        if key.per_minute is None:
            return {}
        token, most = self._random_bytes(8).hex(), key.per_minute
        rate = await self._patience.keep(lambda: self._rates.admit(key.team, key.id, most, token))
        if rate.admitted:
            return _fields(rate)
        raise ProblemError(
            "rate_limited",
            f"this key may send {rate.limit} edits in any {rate.window_s} s",
            expected=f"a repeat after {rate.reset_s} s",
            retry_after_s=rate.reset_s,
            headers=_fields(rate),
        )

    async def claim(self, key: Key, identity: Identity, patience_s: float = 0.0) -> Claim | str | None:
        """The claim of a new edit, the id of the edit that this request joins, or None where there is nothing to claim
        by. Raises a 409 while another request with the key makes its edit, and a 422 for a key of another request."""
        claimed = await self._claimed(key, identity)
        while isinstance(claimed, InCreation) and patience_s > 0:
            patience_s -= CREATION_POLL_S
            await asyncio.sleep(CREATION_POLL_S)
            claimed = await self._claimed(key, identity)
        match claimed:
            case None:
                return None
            case New(claim):
                return claim
            case Joined(edit):
                return edit
            case InCreation(retry_after_s):
                detail = "another request with this Idempotency-Key is making its edit"
                raise ProblemError("conflict", detail, field="Idempotency-Key", retry_after_s=retry_after_s)
            case OtherRequest():
                raise ProblemError(
                    "key_reused",
                    "this Idempotency-Key was used for a request that asked for something else",
                    field="Idempotency-Key",
                    expected="the same request as before, or a new key",
                )

    async def _claimed(self, key: Key, identity: Identity) -> Claimed | None:
        token = self._random_bytes(16).hex()
        if (name := identity.key) is not None:
            return await self._patience.keep(
                lambda: self._claims.claim(key.team, identity.route, name, identity.fingerprint, token)
            )
        if (repeat := identity.repeat) is None:
            return None
        return await self._patience.keep(
            lambda: self._claims.claim_fingerprint(key.team, key.id, identity.fingerprint, token, repeat=repeat > 0)
        )

    @asynccontextmanager
    async def holding(self, claim: Claim | None) -> AsyncGenerator[None]:
        """Renews the claim while its edit is made, and drops it where no edit came of it."""
        if claim is None:
            yield
            return
        renewal = asyncio.create_task(self._renew(claim))
        try:
            yield
        except BaseException:
            with contextlib.suppress(StoreUnavailable):
                await self._claims.drop(claim)
            raise
        finally:
            renewal.cancel()

    async def _renew(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(StoreUnavailable):
                await self._claims.renew(claim)


def _fields(rate: Rate) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers."""
    return {
        "ratelimit-policy": f'"key";q={rate.limit};w={rate.window_s}',
        "ratelimit": f'"key";r={rate.remaining};t={rate.reset_s}',
    }

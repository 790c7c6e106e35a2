"""Idempotency keys: whoever comes first with a key makes the edit, everybody else with the same request joins it.

A claim is made before anything is fetched, and carries a random token. Until an edit was accepted it lives 30 s, unless
it is renewed; then until 24 h after the edit's end. `accept` takes effect only while the key still carries the token.

A request without a key is an edit of its own, but an SDK's repeat of it is not. So its fingerprint is claimed instead,
and joined only by who says that it repeats; `accept` needs no token there, and the newest edit is the one to be joined.

When the store is away nothing is claimed, so nothing new is bought.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import cast

from msgspec import Struct
from redis.asyncio import Redis

from gateway.state import keys
from gateway.state.records import Status
from gateway.state.scripts import Reply, Scripts, Step

_MINUTE_MS = 60_000
_FINGERPRINT_MS = 10 * _MINUTE_MS


def key_hash(route: str, key: str) -> str:
    """By which the store and the books know a key: one key on two routes is two."""
    return sha256(f"{route}\n{key}".encode()).hexdigest()


class Claim(Struct, frozen=True, kw_only=True):
    """What `accept` needs to make the claimed key lead to its edit. `name` is its name in the store, `key_hash` the
    SHA-256 of route and idempotency key, None where only the fingerprint was claimed."""

    name: str
    token: str
    fingerprint: str
    key_hash: str | None = None

    @property
    def life_ms(self) -> int | None:
        """How long it leads to its edit, counted from the acceptance. None: to a day after the edit's end."""
        return _FINGERPRINT_MS if self.key_hash is None else None


class New(Struct, frozen=True):
    """The caller makes the edit; the claim goes into `accept`, or is dropped."""

    claim: Claim


class Joined(Struct, frozen=True):
    """There is an edit already. `ended`: it is terminal, or so old that the store forgot it."""

    edit: str
    ended: bool


class InCreation(Struct, frozen=True):
    """Another request with this key has not made its edit yet."""

    retry_after_s: float


class OtherRequest(Struct, frozen=True):
    """The key belongs to a request that asked for something else."""


Claimed = New | Joined | InCreation | OtherRequest


class Claims:
    """`creation_ms`: how long a claim lives that has no edit yet."""

    def __init__(self, store: Redis, *, creation_ms: int = 30_000, clock: Callable[[], int] | None = None) -> None:
        self._scripts = Scripts(store, clock)
        self._creation_ms = creation_ms

    async def claim(self, team: str, route: str, key: str, fingerprint: str, token: str) -> Claimed:
        """Claims an `Idempotency-Key`. `token` is random, and new for each request."""
        hashed = key_hash(route, key)
        name = keys.idempotency_key(team, hashed)
        claim = Claim(name=name, token=token, fingerprint=fingerprint, key_hash=hashed)
        return await self._claim(claim, join=True)

    async def claim_fingerprint(self, team: str, key_id: str, fingerprint: str, token: str, *, repeat: bool) -> Claimed:
        """For a request without a key. `repeat`: an SDK says that it sends this request again."""
        name = keys.fingerprint(team, key_id, fingerprint)
        claim = Claim(name=name, token=token, fingerprint=fingerprint)
        return await self._claim(claim, join=repeat)

    async def renew(self, claim: Claim) -> bool:
        """The request still lives. False: the claim is another's, and `accept` would say so."""
        reply = await self._scripts.run(Step.RENEW_KEY, (claim.name,), claim.token, self._creation_ms)
        return reply[0] == b"ok"

    async def drop(self, claim: Claim) -> None:
        """The request ended without an edit: the next one with this key need not wait."""
        await self._scripts.run(Step.DROP_KEY, (claim.name,), claim.token)

    async def _claim(self, claim: Claim, *, join: bool) -> Claimed:
        reply = await self._scripts.run(
            Step.CLAIM_KEY,
            (claim.name,),
            claim.token,
            claim.fingerprint,
            self._creation_ms,
            "1" if join else "",
            keys.EDIT,
        )
        return _claimed(claim, reply)


def _claimed(claim: Claim, reply: Reply) -> Claimed:
    match reply[0]:
        case b"new":
            return New(claim)
        case b"creating":
            return InCreation(cast("int", reply[2]) / 1000)
        case b"joined":
            edit, status = (cast("bytes", part).decode() for part in reply[2:4])
            return Joined(edit, ended=not status or Status(status).is_terminal)
        case _:
            return OtherRequest()

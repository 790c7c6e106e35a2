"""`GET /v1/models`: what can be bought here now, with abilities, tiers and prices; and one of it by its name."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, get
from litestar.params import FromPath
from msgspec import Struct

from adapters.contract import Abilities, Offer, Tier
from gateway.api.context import Context, Given
from gateway.api.openai.errors import ErrorBody
from gateway.api.problems import ProblemError
from gateway.money import usd
from policies.policy import Policy


class PriceAnswer(Struct, frozen=True, kw_only=True):
    """`size` and `steps` are set where the price is known for exactly those."""

    usd: str
    since: str
    source: str
    size: str | None
    steps: int | None


class ModelAnswer(Struct, frozen=True, kw_only=True):
    """An offer, also as OpenAI lists a model: `created` (the day of its first price) and `owned_by`. `policies` are
    those that may choose it by themselves. `gpu_second_usd`: what a second of it is booked at, where it is a machine of
    one's own with a price."""

    id: str
    object: str
    created: int
    owned_by: str
    provider: str
    tier: Tier
    billed: bool
    gpu_second_usd: str | None
    usual_s: float
    prices: tuple[PriceAnswer, ...]
    abilities: Abilities
    policies: tuple[str, ...]


class ModelsAnswer(Struct, frozen=True, kw_only=True):
    object: str
    data: tuple[ModelAnswer, ...]


@get("/v1/models", tags=["models"])
async def list_models(request: Request[Any, Any, Any], context: Given) -> ModelsAnswer:
    """Every offer of this gateway, cheapest tier first."""
    context.gate.caller(request, "read")
    offers = sorted(context.settings.offers.values(), key=lambda offer: (offer.tier.rank, offer.name))
    return ModelsAnswer(object="list", data=tuple(_model(context, offer) for offer in offers))


@get("/v1/models/{model_id:path}", tags=["models"])
async def read_model(request: Request[Any, Any, Any], context: Given, model_id: FromPath[str]) -> ModelAnswer:
    """One offer by its name, such as `runware/kontext-pro`; with its slash as it is, or as `%2F`."""
    context.gate.caller(request, "read")
    name = model_id.removeprefix("/")
    if offer := context.settings.offers.get(name):
        return _model(context, offer)
    raise _unknown(name, tuple(context.settings.offers))


def _unknown(name: str, offers: tuple[str, ...]) -> ProblemError:
    """A problem like all others, and beside it the error that OpenAI's clients look for."""
    detail, expected = f"there is no model {name[:80]!r}", f"one of {', '.join(sorted(offers))}"
    body = ErrorBody(
        message=f"{detail}. Expected: {expected}", type="invalid_request_error", param="model", code="model_not_found"
    )
    extensions = {"error": msgspec.to_builtins(body)}
    return ProblemError("not_found", detail, field="model", expected=expected, extensions=extensions)


def _model(context: Context, offer: Offer) -> ModelAnswer:
    return ModelAnswer(
        id=offer.name,
        object="model",
        created=_created(offer),
        owned_by=offer.provider,
        provider=offer.provider,
        tier=offer.tier,
        billed=offer.billed,
        gpu_second_usd=None if offer.gpu is None else usd(offer.gpu.second_micro),
        usual_s=offer.usual_s,
        prices=tuple(
            PriceAnswer(
                usd=usd(price.micro_usd),
                since=price.since.isoformat(),
                source=price.source,
                size=price.size,
                steps=price.steps,
            )
            for price in offer.prices
        ),
        abilities=offer.abilities,
        policies=tuple(name for name, policy in sorted(context.settings.policies.items()) if _names(policy, offer)),
    )


def _created(offer: Offer) -> int:
    """Epoch seconds; 0 for what has no price."""
    since = min((price.since for price in offer.prices), default=None)
    return 0 if since is None else int(datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp())


def _names(policy: Policy, offer: Offer) -> bool:
    """By itself or by one of its rules."""
    return offer.name in policy.offers or any(offer.name in (rule.offers or ()) for rule in policy.rules)

"""A request becomes an order: its pictures are taken in, its policy and offers looked up, its wishes made exact."""

from typing import Any

from msgspec import Struct

from adapters.contract import Edit, Picture, Tier
from gateway.api.admission import Identity
from gateway.api.auth import team_of
from gateway.api.idempotency import origin
from gateway.api.purse import Purse
from gateway.api.requests import EditRequest, Form, invalid, max_cost_micro, size_wish
from gateway.current import Current
from gateway.egress import Refused
from gateway.engine.intake import InputRefused, Intake, Source
from gateway.engine.order import Order
from gateway.keeper import of_input
from gateway.observe.tracecontext import TraceContext
from gateway.secret import Secret
from gateway.settings import Key
from gateway.state.patience import Patience
from gateway.state.records import Output, Webhook, Wish
from gateway.state.uploads import Upload
from gateway.webhooks.registrar import Registrar
from policies.orders import seed_of
from policies.plans import unknown_offers
from policies.policy import Policy

MASK = "mask"
_UNDER_AN_ENDPOINT = "an address under an endpoint of yours: POST /v1/webhooks registers one, GET lists them"


class Desk(Struct, frozen=True):
    """`secret` is the one that makes origins."""

    current: Current
    intake: Intake
    secret: Secret
    purse: Purse
    registrar: Registrar
    patience: Patience

    async def order(self, form: Form, key: Key, identity: Identity, trace: TraceContext | None, edit_id: str) -> Order:
        """Raises a problem that names the field, before anything is spent."""
        request = form.request
        policy = self._policy(request, key)
        self._known(request)
        webhook = await self._webhook(request, key.team)
        pictures = await self._pictures(form, key.team, edit_id)
        return Order(
            id=edit_id,
            team=key.team,
            key_id=key.id,
            edit=edit_of(request, pictures),
            wish=wish_of(request, policy, team_of(self.current.settings, key).tier, webhook),
            policy=policy,
            origin=identity.key and origin(self.secret, key.team, identity.route, identity.key, identity.fingerprint),
            most_open=key.concurrency,
            trace=trace,
            seed=seed_of(f"{identity.fingerprint} {identity.key or ''}"),
            budget_left=await self.patience.keep(lambda: self.purse.share(key)) if _asks_for_budget(policy) else None,
        )

    def offers(self, request: EditRequest, key: Key) -> tuple[str, ...]:
        """All that the request may come to. Raises a problem for a policy that is unknown."""
        policy = self._policy(request, key)
        ruled = (offer for rule in policy.rules for offer in rule.offers or ())
        return request.models or (*policy.offers, *ruled)

    def _policy(self, request: EditRequest, key: Key) -> Policy:
        name = request.policy or team_of(self.current.settings, key).policy
        if name not in self.current.settings.policies:
            names = ", ".join(sorted(self.current.settings.policies))
            invalid("policy", f"there is no policy {name!r}", f"one of {names}, or leave it out")
        return self.current.settings.policies[name]

    def _known(self, request: EditRequest) -> None:
        if unknown := unknown_offers(request.models or (), self.current.settings.offers):
            names = ", ".join(sorted(self.current.settings.offers))
            hint = "; paid ones appear once their provider has a key" if self.current.settings.development_key else ""
            invalid("models", f"no offer is named {unknown[0]!r}", f"some of {names}{hint}")

    async def _webhook(self, request: EditRequest, team: str) -> Webhook | None:
        """Under an endpoint that the team registered, whose secret signs: no address is called for a request alone."""
        url = request.webhook_url
        if url is None:
            return None
        try:
            endpoint = await self.registrar.covering(team, url)
        except Refused as refused:
            invalid("webhook_url", str(refused), _UNDER_AN_ENDPOINT)
        if endpoint is None:
            invalid("webhook_url", "lies under no endpoint of the team", _UNDER_AN_ENDPOINT)
        if endpoint.disabled_ms:
            way = f"POST /v1/webhooks/{endpoint.id}/enable first, or an address under another endpoint"
            invalid("webhook_url", f"lies under {endpoint.id}, which is disabled", way)
        return Webhook(endpoint.id, url)

    async def _pictures(self, form: Form, team: str, edit_id: str) -> dict[str, Picture]:
        try:
            return await self.intake.take(team, sources(form), of_input(edit_id))
        except InputRefused as refused:
            invalid(refused.field, refused.detail, refused.expected)

    async def upload(self, source: Source, team: str) -> Upload:
        """Raises a problem for a picture that cannot be used."""
        try:
            return await self.intake.upload(team, "image", source)
        except InputRefused as refused:
            invalid(refused.field, refused.detail, refused.expected)


def sources(form: Form) -> dict[str, Source]:
    """Every picture that the request names, by the field that names it."""
    request = form.request
    images: tuple[Source, ...] = form.images or request.images
    named: dict[str, Source] = {f"images[{index}]": image for index, image in enumerate(images)}
    mask = form.mask if form.mask is not None else request.mask
    if mask is not None:
        named[MASK] = mask
    for index, reference in enumerate(request.options.pictures()):
        named[f"options.pictures[{index}]"] = reference
    return named


def edit_of(request: EditRequest, pictures: dict[str, Picture]) -> Edit:
    """The edit, its pictures by the field that names them. Raises a problem for a mask of another size."""
    images = tuple(picture for field, picture in pictures.items() if field.startswith("images["))
    mask = pictures.get(MASK)
    if mask and (mask.width, mask.height) != (images[0].width, images[0].height):
        size = f"{images[0].width}x{images[0].height}"
        invalid(MASK, f"is {mask.width}x{mask.height}", f"the size of the first image, {size}")
    extra = tuple(picture for field, picture in pictures.items() if field.startswith("options."))
    digests = {reference: picture.digest for reference, picture in zip(request.options.pictures(), extra, strict=True)}
    same: dict[str, Any] = {name: getattr(request, name) for name in _SAME}
    return Edit(
        **same,
        images=images,
        mask=mask,
        size=size_wish(request.size),
        output_format=request.output.format,
        output_quality=request.output.quality,
        options=request.options.with_pictures(digests),
        option_pictures=extra,
    )


# Fields whose words and meaning are the same in a request and in an edit.
_SAME = (
    "prompt", "n", "seed", "guidance", "steps", "negative_prompt", "safety", "flag_nsfw", "enhance_prompt", "strict",
)  # fmt: skip


def _asks_for_budget(policy: Policy) -> bool:
    """Whether a rule goes by it: for all others it need not be read."""
    return any(rule.when.budget_left_below is not None for rule in policy.rules)


def wish_of(request: EditRequest, policy: Policy, usual: Tier | None, webhook: Webhook | None = None) -> Wish:
    """What the request asks for; `usual` is its team's floor."""
    output = request.output
    return Wish(
        tier=request.tier or usual,
        policy=policy.name,
        models=request.models or (),
        max_cost_micro=max_cost_micro(request),
        deadline_s=request.deadline_s,
        output=Output(delivery=output.delivery, upload_url=output.upload_url, ttl_s=output.ttl_s),
        webhook=webhook,
        metadata=request.metadata,
    )

"""Names that stand for what can be bought: an offer, a tier, a policy, or a name that people bring along.

An alias stands for one of those, for a model by its name alone (`kontext-pro`: every offer of it), or for `default`:
whatever the team's policy chooses. A configuration adds aliases and changes these by `[openai] aliases`.
"""

from collections.abc import Mapping

from adapters.contract import Offer, Tier
from policies.policy import Policy

DEFAULT, POLICY = "default", "policy:"

ALIASES: dict[str, str] = {
    # OpenAI's own: who changes nothing but the address gets what the team's policy chooses.
    "chatgpt-image-latest": DEFAULT,
    "dall-e-2": DEFAULT,
    "gpt-image-1": DEFAULT,
    "gpt-image-1-mini": DEFAULT,
    "gpt-image-1.5": DEFAULT,
    "gpt-image-2": DEFAULT,
    "gpt-image-2.5-flare": DEFAULT,
    "gpt-image-2.5-sunburst": DEFAULT,
    "gpt-image-2.6-flare": DEFAULT,
    "gpt-image-2.6-sunburst": DEFAULT,
    # FLUX.1 Kontext as Black Forest Labs and those who sell it spell it.
    "flux-kontext-dev": "kontext-dev",
    "flux-kontext-max": "kontext-max",
    "flux-kontext-pro": "kontext-pro",
    "flux.1-kontext-dev": "kontext-dev",
    "flux.1-kontext-max": "kontext-max",
    "flux.1-kontext-pro": "kontext-pro",
    "black-forest-labs/flux-kontext-dev": "kontext-dev",
    "black-forest-labs/flux-kontext-max": "kontext-max",
    "black-forest-labs/flux-kontext-pro": "kontext-pro",
    "black-forest-labs/flux.1-kontext-dev": "kontext-dev",
}
"""In lower case: names are compared without it."""


def named(target: str, offers: Mapping[str, Offer], policies: Mapping[str, Policy]) -> dict[str, object] | None:
    """The fields of an edit's request that a name comes to which is no alias; None where it stands for nothing."""
    if target == DEFAULT:
        return {}
    if target in offers:
        return {"models": [target]}
    if target in list(Tier):
        return {"tier": target}
    if target.startswith(POLICY):
        policy = target.removeprefix(POLICY)
        return {"policy": policy} if policy in policies else None
    family = [offer.name for offer in offers.values() if offer.model == target]
    return {"models": family} if family else None

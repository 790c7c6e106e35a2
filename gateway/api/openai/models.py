"""What `model` means in an OpenAI-shaped request."""

from adapters.contract import Tier
from gateway.aliases import ALIASES, POLICY, named
from gateway.api.problems import ProblemError
from gateway.settings import Settings


def fields_of(model: str | None, settings: Settings) -> dict[str, object]:
    """The fields of an edit's request that it comes to. Raises a 404 problem for a name that nobody knows."""
    if model is None:
        return {}
    known = {**ALIASES, **settings.aliases}
    target = model if model in settings.offers else known.get(model.lower(), model)
    fields = named(target, settings.offers, settings.policies)
    if fields is None:
        raise ProblemError(
            "not_found", f"there is no model {model[:80]!r}", field="model", expected=_expected(settings)
        )
    return fields


def _expected(settings: Settings) -> str:
    offers, policies = ", ".join(sorted(settings.offers)), ", ".join(f"{POLICY}{name}" for name in settings.policies)
    return f"an offer ({offers}), a tier ({', '.join(Tier)}), a policy ({policies}), or a name such as gpt-image-1"

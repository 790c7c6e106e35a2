"""What a Runflow run says, read as a tree: its state, whose it is, its pictures and its bill."""

from msgspec import Struct

from adapters import replies
from adapters.contract import Attempt, Inline, Link

MOST_COST_MICRO = 100_000_000  # for an offer without a price to compare with


def status(run: replies.Tree) -> str:
    return replies.text(run.get("status_code")) or replies.text(run.get("status"))


def is_foreign(run: replies.Tree, attempt: Attempt) -> bool:
    reference = replies.text(run.get("client_ref"))
    return reference not in ("", attempt.id)


def holds_our_prompt(run: replies.Tree, attempt: Attempt) -> bool:
    """Whether a run found by our reference was asked for the same thing, as far as the list shows it. The model is
    not compared: it is part of what our reference derives from, and Runflow renames models."""
    prompt = replies.text(replies.tree(run.get("input")).get("prompt"))
    return prompt in ("", attempt.edit.prompt) or bool(attempt.edit.enhance_prompt)


class Page(Struct, frozen=True, kw_only=True):
    """A page of the list of runs. `is_told`: it is one, and each of its runs says what it refers to. `cursor` leads to
    the next page; empty where it names none."""

    length: int
    cursor: str
    is_told: bool


def page(document: object) -> Page:
    top = replies.tree(document)
    places = (document, *top.values())
    listed = [replies.tree(run) for place in places for run in replies.items(place)]
    named = (replies.text(place.get("next_pq")) for place in (top, *map(replies.tree, top.values())))
    told = any(isinstance(place, list) for place in places) and all("client_ref" in run for run in listed)
    return Page(length=len(listed), cursor=next(filter(None, named), ""), is_told=told)


def of_attempt(document: object, attempt: Attempt) -> list[replies.Tree]:
    """The runs in a list reply that carry our reference, searched for here too: a filter that the server ignores
    returns everything. The list is the document itself, or whichever of its fields is one (its name is not told)."""
    lists = [replies.items(document), *(replies.items(value) for value in replies.tree(document).values())]
    listed = [replies.tree(run) for one in lists for run in one]
    return [run for run in listed if run.get("client_ref") == attempt.id and replies.identifier(run.get("id"))]


def pictures(output: replies.Tree, paths: tuple[str, ...]) -> tuple[Link | Inline, ...]:
    """The results at the first path that holds any. A seed belongs to a result only where there is but one."""
    nsfw = replies.flag(output.get("nsfw_detected"))
    for path in paths:
        urls = [url for url in _at(output, path) if url.startswith(("https://", "http://", "data:"))]
        seed = replies.seed(output.get("seed")) if len(urls) == 1 else None
        if urls:
            return tuple(_picture(url, seed, nsfw) for url in urls)
    return ()


def _picture(url: str, seed: int | None, nsfw: bool | None) -> Link | Inline:
    if url.startswith("data:"):
        return Inline(url, seed=seed, nsfw=nsfw)
    return Link(url, seed=seed, nsfw=nsfw)


def _at(value: object, path: str) -> list[str]:
    """The strings at a path such as `outputs[].url`, where `[]` goes through every item."""
    found = [value]
    for step in path.split("."):
        found = [replies.tree(one).get(step.removesuffix("[]")) for one in found]
        if step.endswith("[]"):
            found = [item for one in found for item in replies.items(one)]
    return [text for one in found if (text := replies.text(one))]


def cost(attempt: Attempt, run: replies.Tree) -> int | None:
    """The bill, unless it is absurd: more than four times the dearest price of the offer."""
    dearest = max((price.micro_usd for price in attempt.offer.prices), default=0)
    return replies.micro_usd(run.get("cost"), 4 * dearest * attempt.edit.n or MOST_COST_MICRO)

"""A sample request for `kontext check`: what each policy would plan for it, by the code that plans edits, without a
gateway. Nothing is measured here, so every offer is taken as healthy and as quick as its catalogue says."""

import re
from collections.abc import Mapping

import rich_click as click
from msgspec import Struct

from adapters.contract import ImageFormat, Picture
from gateway.api.orders import edit_of, sources, wish_of
from gateway.api.problems import ProblemError
from gateway.api.requests import Form, read_form
from gateway.clock import SystemClock, day_of
from gateway.engine.order import Order
from gateway.engine.terms import wishes
from gateway.settings import Settings
from policies.facts import Facts
from policies.plans import Plan, plan, unknown_offers
from policies.policy import Policy

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Moment(Struct, frozen=True, kw_only=True):
    """For whom and when. `at`: a time of the day in UTC; `budget_left`: a share. None is not known, and rules that
    go by it do not hold."""

    team: str | None = None
    at: str | None = None
    budget_left: float | None = None


class Sample(Struct, frozen=True):
    """A request with pictures that are nothing but a size."""

    form: Form
    pictures: dict[str, Picture]


def sample(fields: dict[str, str], size: str) -> Sample:
    """The request of `fields`. Raises `click.UsageError` that names a wrong one."""
    width, height = _numbers("--picture", size, _SIZE, "such as 1500x1000")
    try:
        form = read_form([("images", "https://sample.invalid/photo.jpg"), *fields.items()])
    except ProblemError as problem:
        raise click.UsageError(f"{problem}; expected {problem.expected}") from None
    digests = {place: f"{number:064x}" for number, place in enumerate(sources(form))}
    made = {place: Picture(digest, ImageFormat.JPEG, width, height, 100_000) for place, digest in digests.items()}
    return Sample(form, made)


def plans(settings: Settings, asked: Sample, moment: Moment) -> tuple[Facts, dict[str, Plan]]:
    """What was taken as known, and the plan of each policy, or of the one that the request names."""
    request = asked.form.request
    _refuse_unknown("--team", moment.team, settings.teams)
    _refuse_unknown("--policy", request.policy, settings.policies)
    for model in unknown_offers(request.models or (), settings.offers):
        _refuse_unknown("--model", model, settings.offers)
    minute = None
    if moment.at is not None:
        hours, minutes = _numbers("--at", moment.at, _TIME, "a time of the day in UTC such as 23:30")
        minute = hours * 60 + minutes
    facts = Facts(day=day_of(SystemClock().now_ms()), minute=minute, budget_left=moment.budget_left)
    named = [request.policy] if request.policy else list(settings.policies)
    return facts, {name: _plan(settings, asked, moment, settings.policies[name], facts) for name in named}


def _plan(settings: Settings, asked: Sample, moment: Moment, policy: Policy, facts: Facts) -> Plan:
    team = settings.teams.get(moment.team or "")
    order = Order(
        id="",
        team=moment.team or "",
        key_id="",
        edit=edit_of(asked.form.request, asked.pictures),
        wish=wish_of(asked.form.request, policy, team.tier if team else None),
        policy=policy,
    )
    return plan(order.edit, wishes(settings, order, facts), policy, settings.offers, facts)


def _numbers(option: str, text: str, pattern: re.Pattern[str], expected: str) -> tuple[int, int]:
    found = pattern.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not {expected}", param_hint=option)
    return int(found[1]), int(found[2])


def _refuse_unknown(option: str, name: str | None, known: Mapping[str, object]) -> None:
    if name is not None and name not in known:
        raise click.BadParameter(f"there is no {name!r}; known are {', '.join(sorted(known))}", param_hint=option)

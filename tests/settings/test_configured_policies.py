"""Policies and teams as a configuration writes them: what each line comes to, and what each mistake is told."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from adapters.contract import Tier
from gateway.configuration import SettingsError, load
from gateway.settings import Settings
from policies.conditions import When
from policies.hedge import Terms
from policies.policy import Policy, Rule

PROVIDERS = """\
[providers.runware]
api_key = "env:KEY"
[providers.local]
"""
PRO, MAX, DEV, PREVIEW = "runware/kontext-pro", "runware/kontext-max", "runware/kontext-dev", "local/preview"
Read = Callable[[str], Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str) -> Settings:
        path = tmp_path / "kontext.toml"
        path.write_text(PROVIDERS + text)
        return load(path, {"KEY": "a-key"}, date(2027, 1, 15))

    return read


def test_everything_that_a_policy_can_say_reaches_it(read: Read) -> None:
    settings = read("""
[policies.p]
tier = "standard"
degrade_to = "preview"
order = ["weighted"]
offers = ["runware/kontext-pro", "runware/kontext-max", "local/preview"]
shares = { "runware/kontext-pro" = 95, "runware/kontext-max" = 5 }
sticky = "user"
[[policies.p.rules]]
when = { utc = "20:00-06:00", budget_left_below = 0.5 }
tier = "premium"
degrade_to = "standard"
order = ["cheapest", "fastest"]
offers = ["runware/kontext-max"]
[[policies.p.rules]]
when = { budget_left_below = 0.2 }
shares = { "local/preview" = 1 }
""")
    assert settings.policies["p"] == Policy(
        name="p",
        tier=Tier.STANDARD,
        degrade_to=Tier.PREVIEW,
        order=("weighted",),
        offers=(PRO, MAX, PREVIEW),
        shares={PRO: 95, MAX: 5},
        sticky="user",
        rules=(
            Rule(
                when=When(utc="20:00-06:00", budget_left_below=0.5),
                tier=Tier.PREMIUM,
                degrade_to=Tier.STANDARD,
                order=("cheapest", "fastest"),
                offers=(MAX,),
            ),
            Rule(when=When(budget_left_below=0.2), shares={PREVIEW: 1}),
        ),
    )


def test_balanced_is_the_order_that_is_shipped(read: Read) -> None:
    settings = read('[policies.p]\norder = "balanced"\noffers = ["runware/kontext-pro"]\n')
    assert settings.policies["p"].order == ("expected_cost",)


def test_a_team_has_its_offers_and_its_floor(read: Read) -> None:
    policy = '[policies.p]\noffers = ["runware/kontext-pro", "runware/kontext-max"]\n'
    team = read(f'{policy}[teams.t]\npolicy = "p"\ntier = "premium"\noffers = ["{MAX}"]\n').teams["t"]
    assert (team.offers, team.tier) == ((MAX,), Tier.PREMIUM)
    free = read(f'{policy}[teams.t]\npolicy = "p"\n').teams["t"]
    assert (free.offers, free.tier) == (None, None)


def test_another_rule_is_another_revision(read: Read) -> None:
    night, longer = (RULE + f'when = {{ utc = "20:00-{end}" }}\ntier = "draft"\n' for end in ("06:00", "07:00"))
    assert read(night).revision != read(longer).revision


HEAD = '[policies.p]\noffers = ["runware/kontext-pro", "runware/kontext-max"]\n'
WEIGHTED = HEAD + 'order = ["weighted"]\n'
RULE = HEAD + "[[policies.p.rules]]\n"
NIGHT = 'when = { utc = "20:00-06:00" }\n'
TEAM = HEAD + '[teams.t]\npolicy = "p"\n'

# what is written -> the place that is named, and what to write instead
MISTAKES: dict[str, tuple[str, str, str]] = {
    "an unknown order": (HEAD + 'order = ["cheap"]', "policies.p.order:", "cheapest, fastest, expected_cost, weighted"),
    "an unknown word for an order": (HEAD + 'order = "best"', "policies.p.order:", "best"),
    "an unknown offer": ('[policies.p]\noffers = ["runware/pro"]', "policies.p.offers[0]:", PRO),
    "an unknown field": (HEAD + 'degrade = "draft"', "policies.p:", "degrade"),
    "an unknown tier": (HEAD + 'degrade_to = "cheap"', "policies.p.degrade_to:", "cheap"),
    "a step down that is none": (HEAD + 'degrade_to = "standard"', "policies.p.degrade_to:", "one of preview, draft"),
    "a step up": (HEAD + 'degrade_to = "premium"', "policies.p.degrade_to:", "not below tier standard"),
    "a step below the lowest": (
        HEAD + 'tier = "preview"\ndegrade_to = "preview"',
        "policies.p.degrade_to:",
        "leave it out",
    ),
    "a rule's step up": (RULE + NIGHT + 'degrade_to = "premium"', "policies.p.rules[0].degrade_to:", "preview, draft"),
    "shares without weighted": (
        HEAD + 'shares = { "runware/kontext-pro" = 1 }',
        "policies.p.shares:",
        'order = ["weighted"]',
    ),
    "sticky without weighted": (HEAD + 'sticky = "user"', "policies.p.sticky:", 'order = ["weighted"]'),
    "weighted without shares": (WEIGHTED, "policies.p.shares:", 'shares = { "runware/kontext-pro" = 1 }'),
    "shares of nothing": (WEIGHTED + 'shares = { "runware/kontext-pro" = 0 }', "policies.p.shares:", "above 0"),
    "a share below nothing": (
        WEIGHTED + 'shares = { "runware/kontext-pro" = -1 }',
        'policies.p.shares."runware/kontext-pro":',
        "0 or more",
    ),
    "a share without end": (
        WEIGHTED + 'shares = { "runware/kontext-pro" = inf }',
        'policies.p.shares."runware/kontext-pro":',
        "0 or more",
    ),
    "a share of another offer": (
        WEIGHTED + 'shares = { "runware/kontext-pro" = 1, "runware/kontext-dev" = 1 }',
        'policies.p.shares."runware/kontext-dev":',
        "add it there",
    ),
    "a share in words": (
        WEIGHTED + 'shares = { "runware/kontext-pro" = "half" }',
        "policies.p.shares[...]:",
        "Expected `float`",
    ),
    "a rule that draws without shares": (
        RULE + NIGHT + 'order = ["weighted"]',
        "policies.p.rules[0].shares:",
        "above 0",
    ),
    "a rule whose offers have no share": (
        f'{WEIGHTED}shares = {{ "{PRO}" = 1 }}\n[[policies.p.rules]]\n{NIGHT}offers = ["{MAX}"]',
        "policies.p.rules[0].shares:",
        MAX,
    ),
    "a rule with a bad hour": (
        RULE + 'when = { utc = "20-6" }\ntier = "draft"',
        "policies.p.rules[0].when:",
        '"20:00-06:00"',
    ),
    "a rule without any hour": (
        RULE + 'when = { utc = "06:00-06:00" }\ntier = "draft"',
        "policies.p.rules[0].when:",
        "leave utc out",
    ),
    "a rule with a percentage": (
        RULE + 'when = { budget_left_below = 20 }\ntier = "draft"',
        "policies.p.rules[0].when:",
        "a share above 0 and up to 1",
    ),
    "a rule of an unknown condition": (RULE + 'when = { day = "sunday" }', "policies.p.rules[0].when:", "day"),
    "a rule without a condition": (RULE + 'tier = "draft"', "policies.p.rules[0]:", "when"),
    "a rule that always holds": (RULE + 'when = {}\ntier = "draft"', "policies.p.rules[0].when:", "the policy itself"),
    "a rule that changes nothing": (RULE + NIGHT, "policies.p.rules[0]:", "offers, order, tier, degrade_to or shares"),
    "a rule of an unknown offer": (
        RULE + NIGHT + 'offers = ["local/preview", "local/nothing"]',
        "policies.p.rules[0].offers[1]:",
        PREVIEW,
    ),
    "a rule of an unknown order": (RULE + NIGHT + 'order = ["best"]', "policies.p.rules[0].order:", "cheapest"),
    "a second rule is named by its number": (
        f"{RULE}{NIGHT}tier = 'draft'\n[[policies.p.rules]]\n{NIGHT}order = ['best']",
        "policies.p.rules[1].order:",
        "cheapest",
    ),
    "a team of an unknown offer": (TEAM + 'offers = ["runware/pro"]', "teams.t.offers[0]:", PRO),
    "a team of an unknown tier": (TEAM + 'tier = "best"', "teams.t.tier:", "best"),
    "a team that may use nothing of its policy": (TEAM + f'offers = ["{DEV}"]', "teams.t.offers:", "another policy"),
    "a team that may use nothing under a rule": (
        f'{RULE}{NIGHT}offers = ["{DEV}"]\n[teams.t]\npolicy = "p"\noffers = ["{PRO}"]',
        "teams.t.offers:",
        "rules[0] of policy p",
    ),
    "a team without its policy": ('[teams.t]\npolicy = "q"', "teams.t.policy:", "known are none"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_refused_with_its_place_and_what_to_write(read: Read, what: str) -> None:
    text, place, cure = MISTAKES[what]
    with pytest.raises(SettingsError) as refused:
        read(text)
    assert str(refused.value).startswith(place)
    assert cure in str(refused.value)
    assert "a-key" not in str(refused.value)


def test_what_a_rule_inherits_may_be_no_step_down_any_more(read: Read) -> None:
    policy = read(f'{HEAD}degrade_to = "draft"\n[[policies.p.rules]]\n{NIGHT}tier = "draft"\n').policies["p"]
    assert policy.rules[0].tier is Tier.DRAFT


def test_the_readmes_policies_are_valid(tmp_path: Path) -> None:
    """What people copy first."""
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    blocks = [block.partition("```")[0] for block in readme.split("```toml\n")[1:]]
    written = next(block for block in blocks if "[policies." in block).replace('"sha256:…"', f'"sha256:{"0" * 64}"')
    path = tmp_path / "kontext.toml"
    path.write_text(written)
    env = {"RUNWARE_API_KEY": "a-key", "RUNFLOW_API_KEY": "a-key"}
    settings = load(path, env, date(2027, 1, 15))
    assert settings.policies["balanced"].order == ("expected_cost",)
    assert {team.policy for team in settings.teams.values()} <= set(settings.policies)


HEDGED = """
[policies.p]
offers = ["runware/kontext-pro"]
[teams.t]
policy = "p"
hedge = { %s }
"""


@pytest.mark.parametrize(
    ("given", "bought"),
    [
        ('max_extra_usd = "0.08", after_s = 5', Terms(max_extra_micro=80_000, after_s=5.0)),
        ('max_extra_usd = "0.000001"', Terms(max_extra_micro=1)),
        ("", Terms(max_extra_micro=0)),
    ],
)
def test_a_second_runner_is_bought_by_its_team(read: Read, given: str, bought: Terms) -> None:
    assert read(HEDGED % given).teams["t"].hedge == bought


def test_no_team_has_a_second_runner_by_itself(read: Read) -> None:
    assert read(HEDGED.replace("hedge", "# hedge") % "").teams["t"].hedge is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('max_extra_usd = "0.0000001"', "teams.t.hedge.max_extra_usd: "),
        ('max_extra_usd = "much"', "teams.t.hedge.max_extra_usd: "),
        ("max_extra_usd = 0.08", "max_extra_usd"),
        ("after_s = -1", "after_s"),
        ("after_s = nan", "teams.t.hedge.after_s: "),
        ("after = 5", "after"),
    ],
)
def test_a_mistake_in_it_is_told_with_its_place(read: Read, given: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read(HEDGED % given)

"""`kontext check --explain`: the plan of each policy for a sample request, in sentences and without a gateway."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.check import check

CONFIG = """\
[providers.runware]
api_key = "file:key"
[providers.local]

[policies.balanced]
order = "balanced"
degrade_to = "draft"
offers = ["runware/kontext-max", "runware/kontext-pro", "runware/kontext-dev"]
[[policies.balanced.rules]]
when = { utc = "20:00-06:00" }
tier = "draft"
order = ["cheapest"]
[[policies.balanced.rules]]
when = { budget_left_below = 0.2 }
tier = "preview"
offers = ["local/preview", "runware/kontext-pro"]

[policies.preview]
tier = "preview"
offers = ["local/preview"]

[teams.narrow]
policy = "balanced"
tier = "premium"
offers = ["runware/kontext-max", "local/preview"]
"""


@pytest.fixture
def asked(tmp_path: Path):
    (tmp_path / "kontext.toml").write_text(CONFIG)
    (tmp_path / "key").write_text("a-key")

    def asked(*words: str) -> Result:
        return CliRunner().invoke(check, ["--config", str(tmp_path / "kontext.toml"), *words])

    return asked


def order_of(result: Result, policy: str = "balanced") -> list[str]:
    assert result.exit_code == 0, result.output
    return [one["offer"] for one in json.loads(result.output)["policies"][policy]["candidates"]]


def test_every_offer_of_every_policy_has_its_sentence(asked) -> None:
    said = asked("--explain", "--size", "512x512", "--max-cost", "0.05").output
    assert "policy balanced: tier standard and above, order: expected_cost" in said
    assert "none of its 2 rules holds" in said
    assert "1  $0.040000  runware/kontext-pro is tried first: it is expected to cost" in said
    assert "2  $0.015000  runware/kontext-dev is tried after runware/kontext-pro: it is of tier draft" in said
    assert "–  runware/kontext-max is too dear for this edit: it costs $0.080000" in said
    assert "policy preview: tier preview and above, order: as written" in said
    assert "the policy names it first" in said


HOURS = {
    "19:59": "standard",
    "20:00": "draft",
    "23:59": "draft",
    "00:00": "draft",
    "05:59": "draft",
    "06:00": "standard",
}


@pytest.mark.parametrize("at", HOURS)
def test_a_rule_of_the_night_holds_over_midnight(asked, at: str) -> None:
    result = asked("--json", "--at", at)
    found = json.loads(result.output)["policies"]["balanced"]
    night = HOURS[at] == "draft"
    assert (found["tier"], found["rule"]) == (HOURS[at], 0 if night else None)
    assert order_of(result)[0] == ("runware/kontext-dev" if night else "runware/kontext-pro")


def test_the_first_rule_that_holds_counts(asked) -> None:
    assert order_of(asked("--json", "--budget-left", "0.1"))[0] == "local/preview"
    assert order_of(asked("--json", "--budget-left", "0.1", "--at", "23:00"))[0] == "runware/kontext-dev"
    assert order_of(asked("--json", "--budget-left", "0.2"))[0] == "runware/kontext-pro"
    assert "rules[1] holds" in asked("--explain", "--budget-left", "0.1").output


def test_a_team_sees_its_own_plan(asked) -> None:
    result = asked("--json", "--team", "narrow")
    assert order_of(result) == ["runware/kontext-max"]
    reasons = {one["reason"] for one in json.loads(result.output)["policies"]["balanced"]["exclusions"]}
    assert reasons == {"not_allowed"}
    assert order_of(asked("--json", "--team", "narrow", "--tier", "preview"), "preview") == ["local/preview"]


def test_a_degraded_candidate_is_marked(asked) -> None:
    found = json.loads(asked("--json").output)["policies"]["balanced"]["candidates"]
    assert [one["degraded"] for one in found] == [False, False, True]


def test_a_request_that_nothing_fits_is_said_so(asked) -> None:
    result = asked("--explain", "--policy", "balanced", "--max-cost", "0.001")
    assert result.exit_code == 0
    assert "nothing fits" in result.output
    assert "policy preview" not in result.output


# what is asked -> what the refusal says
REFUSED = {
    "a wrong size": (("--size", "huge"), "1392x752"),
    "a wrong tier": (("--tier", "best"), "preview, draft, standard, premium"),
    "a field that is not there": (("--set", "promt=x"), "there is no such field"),
    "a wrong picture": (("--picture", "large"), "1500x1000"),
    "a wrong hour": (("--at", "8pm"), "23:30"),
    "a budget of more than all": (("--budget-left", "1.5"), "0<=x<=1"),
    "an unknown team": (("--team", "nobody"), "narrow"),
    "an unknown policy": (("--policy", "nothing"), "balanced, preview"),
    "an unknown offer": (("--model", "runware/pro"), "runware/kontext-pro"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_sample_that_cannot_be_is_refused_with_what_can(asked, what: str) -> None:
    words, expected = REFUSED[what]
    result = asked("--explain", *words)
    assert result.exit_code == 2
    assert expected in " ".join(result.output.replace("│", " ").split())

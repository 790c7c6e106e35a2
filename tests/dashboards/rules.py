"""The alert rules as they are shipped."""

from pathlib import Path

import yaml
from msgspec import Struct

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES, TESTS, ROUTING = FOLDER / "kontext.rules.yml", FOLDER / "kontext.test.yml", FOLDER / "alertmanager.yml"


class Rule(Struct, frozen=True, kw_only=True):
    """One of `alert` and `record` is its name."""

    name: str
    expr: str
    is_alert: bool
    severity: str = ""
    runbook: str = ""
    summary: str = ""


def rules() -> tuple[Rule, ...]:
    document = yaml.safe_load(RULES.read_text("utf-8"))
    return tuple(_rule(rule) for group in document["groups"] for rule in group["rules"])


def _rule(rule: dict[str, object]) -> Rule:
    labels, notes = rule.get("labels") or {}, rule.get("annotations") or {}
    assert isinstance(labels, dict)
    assert isinstance(notes, dict)
    return Rule(
        name=str(rule.get("alert") or rule["record"]),
        expr=str(rule["expr"]),
        is_alert="alert" in rule,
        severity=str(labels.get("severity", "")),
        runbook=str(notes.get("runbook", "")),
        summary=str(notes.get("summary", "")),
    )


ALERTS = tuple(rule for rule in rules() if rule.is_alert)
RECORDS = tuple(rule for rule in rules() if not rule.is_alert)

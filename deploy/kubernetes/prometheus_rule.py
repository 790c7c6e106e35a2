"""`python deploy/kubernetes/prometheus_rule.py`: the alert rules as a resource of the Prometheus operator.

The rules are written once, in `deploy/prometheus/`; a test holds that the resource says the same.
"""

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus" / "kontext.rules.yml"
RESOURCE = HERE / "overlays" / "production" / "prometheusrule.yaml"
_HEAD = "# Made by `python deploy/kubernetes/prometheus_rule.py` from deploy/prometheus/kontext.rules.yml.\n"


def resource() -> str:
    document: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "gateway", "namespace": "kontext"},
        "spec": yaml.safe_load(RULES.read_text("utf-8")),
    }
    return _HEAD + yaml.safe_dump(document, sort_keys=False, width=120)


if __name__ == "__main__":
    RESOURCE.write_text(resource(), "utf-8")

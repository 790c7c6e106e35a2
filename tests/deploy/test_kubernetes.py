"""The manifests as a cluster would get them: valid for its API, and hardened as the docs say."""

import json
import os
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs] - it ships none
import pytest
import yaml

from gateway.sections import LimitsSection, StateSection

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))
SCHEMAS = Path(__file__).parent / "schemas"
FOREIGN = {path.stem for path in SCHEMAS.glob("*.json")}  # of the Prometheus operator
DRAIN_S, PRE_STOP_S = 20, 5
IDLE_MB, TMP_MB = 128, 128

pytestmark = pytest.mark.kubectl


@pytest.fixture(scope="module", params=OVERLAYS)
def rendered(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    if not shutil.which("kubectl"):
        if os.environ.get("CI"):
            pytest.fail("no kubectl on PATH")
        pytest.skip("no kubectl on PATH: the manifests were not rendered")
    folder = KUBERNETES / "overlays" / request.param
    told = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return list(yaml.safe_load_all(told.stdout))


def one(rendered: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (document for document in rendered if document["kind"] == kind)
    return found


def container(rendered: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = one(rendered, "Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def test_every_document_is_what_its_api_takes(rendered) -> None:
    for document in rendered:
        if document["kind"] in FOREIGN:
            schema = json.loads((SCHEMAS / f"{document['kind']}.json").read_text("utf-8"))
            jsonschema.validate(document, schema)
        else:
            kubernetes_validate.validate(document, "1.32", strict=True)


def test_nothing_runs_as_root_or_writes_to_its_own_image(rendered) -> None:
    pod = one(rendered, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container(rendered)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_grace_time_holds_the_pre_stop_and_the_drain(rendered) -> None:
    pod = one(rendered, "Deployment")["spec"]["template"]["spec"]
    assert container(rendered)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(PRE_STOP_S)]
    assert pod["terminationGracePeriodSeconds"] > PRE_STOP_S + DRAIN_S


def test_a_pod_is_asked_how_it_is_and_has_room_that_is_bounded(rendered) -> None:
    paths = {
        name: container(rendered)[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/readyz", "liveness": "/healthz", "readiness": "/readyz"}
    resources = container(rendered)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}, "a limit of CPU would stop the heartbeat"
    limit_gib, pictures = float(resources["limits"]["memory"].removesuffix("Gi")), LimitsSection().picture_bytes
    most_mb = 2 * float(pictures.removesuffix("MB")) + IDLE_MB + TMP_MB
    assert limit_gib * 2**30 / 1e6 > most_mb, "as docs/load.md says: twice picture_bytes, beside the process"


def test_a_failover_of_the_store_takes_no_pod_out_of_service(rendered) -> None:
    probe = container(rendered)["readinessProbe"]
    assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) > StateSection().patience_s


def test_whoever_applies_the_manifests_does_not_undo_the_autoscaler(rendered) -> None:
    scaled = [document for document in rendered if document["kind"] == "HorizontalPodAutoscaler"]
    assert ("replicas" in one(rendered, "Deployment")["spec"]) == (not scaled)
    for scaler in scaled:
        (metric,) = scaler["spec"]["metrics"]
        adapter = (KUBERNETES / "examples" / "prometheus-adapter.yaml").read_text("utf-8")
        assert metric["pods"]["metric"]["name"] in yaml.safe_load(adapter)["rules"]["custom"][0]["seriesQuery"]
        assert scaler["spec"]["minReplicas"] >= 3


def test_it_is_let_out_only_where_it_must(rendered) -> None:
    """To names, to https outside every private range, and to the data's own namespace."""
    policy = one(rendered, "NetworkPolicy")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    (public,) = (rule for rule in policy["egress"] if any("ipBlock" in to for to in rule["to"]))
    assert public["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(
        public["to"][0]["ipBlock"]["except"]
    )
    named = [to for rule in policy["egress"] if rule is not public for to in rule["to"]]
    assert all("namespaceSelector" in to for to in named)


def test_secrets_are_referred_to_and_never_written_down(rendered) -> None:
    assert "Secret" not in {document["kind"] for document in rendered}
    for entry in container(rendered).get("env", []):
        assert "secretKeyRef" in entry["valueFrom"]


def test_many_pods_are_spread_and_not_drained_at_once(rendered) -> None:
    pod = one(rendered, "Deployment")["spec"]["template"]["spec"]
    assert {one["topologyKey"] for one in pod["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    assert one(rendered, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_the_job_is_called_as_the_alerts_call_it(rendered) -> None:
    """By itself the operator gives a job its Service's name, and an alert on another one would never fire."""
    rules = (KUBERNETES.parent / "prometheus" / "kontext.rules.yml").read_text("utf-8")
    service = one(rendered, "Service")["metadata"]["labels"]
    for monitor in (document for document in rendered if document["kind"] == "ServiceMonitor"):
        assert f'up{{job="{service[monitor["spec"]["jobLabel"]]}"}}' in rules


def test_the_operators_rules_are_those_that_were_tested() -> None:
    made = runpy.run_path(str(KUBERNETES / "prometheus_rule.py"))
    assert made["RESOURCE"].read_text("utf-8") == made["resource"](), "run: python deploy/kubernetes/prometheus_rule.py"

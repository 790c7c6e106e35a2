"""The examples for operators of stores and databases: what their comments tell the gateway fits what they make."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from gateway.state.primary import seeds_of

EXAMPLES = Path(__file__).parents[2] / "deploy" / "kubernetes" / "examples"


def documents(name: str) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in yaml.safe_load_all((EXAMPLES / name).read_text("utf-8"))}


def address(name: str, scheme: str) -> str:
    (found,) = re.findall(rf"{re.escape(scheme)}://\S+", (EXAMPLES / name).read_text("utf-8"))
    return found


def test_the_store_is_named_as_its_operator_names_it() -> None:
    made = documents("redis-opstree.yaml")
    seeds = seeds_of(address("redis-opstree.yaml", "redis+sentinel"))
    sentinel = made["RedisSentinel"]
    place = sentinel["metadata"]
    assert seeds.nodes == ((f"{place['name']}-sentinel.{place['namespace']}", 26379),)
    assert seeds.service == sentinel["spec"]["redisSentinelConfig"]["masterGroupName"]
    assert (
        sentinel["spec"]["redisSentinelConfig"]["redisReplicationName"] == made["RedisReplication"]["metadata"]["name"]
    )
    assert (
        made["RedisReplication"]["spec"]["redisConfig"]["additionalRedisConfig"]
        == made["ConfigMap"]["metadata"]["name"]
    )


def test_the_store_keeps_what_the_gateway_looks_for_at_its_start() -> None:
    (kept,) = documents("redis-opstree.yaml")["ConfigMap"]["data"].values()
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(kept.splitlines())
    assert documents("redis-opstree.yaml")["RedisReplication"]["spec"]["clusterSize"] >= 3


def test_the_ledger_is_named_as_its_operator_names_it() -> None:
    cluster = documents("postgresql-cloudnativepg.yaml")["Cluster"]
    parts = urlsplit(address("postgresql-cloudnativepg.yaml", "postgresql"))
    place, made = cluster["metadata"], cluster["spec"]["bootstrap"]["initdb"]
    assert parts.hostname == f"{place['name']}-rw.{place['namespace']}"
    assert (parts.path.strip("/"), parts.username) == (made["database"], made["owner"])

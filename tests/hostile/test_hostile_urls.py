"""More than 400 hostile addresses: every one is refused, and inside a network namespace nothing leaves for any."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.egress import INPUT, Refused
from gateway.egress.addresses import all_public
from gateway.egress.profiles import Rule
from tests.hostile.urls import HARMLESS, HARMLESS_NAMES, NAMES, PUBLIC, PUBLIC_V6, hostile

ROOT = Path(__file__).parents[2]
RULE = Rule.of(INPUT, frozenset())


def may_go(url: str, names: dict[str, list[str]]) -> bool:
    """By the rules alone, without a socket. A name that is in no table is read as a resolver reads numbers."""
    try:
        target = RULE.judge(url)
    except Refused:
        return False
    if target.host in names:
        return all_public(names[target.host])
    flags = socket.AI_NUMERICHOST
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM, flags=flags)
    return all_public(str(each[4][0]) for each in found)


def test_the_rules_refuse_every_hostile_address() -> None:
    urls = list(hostile())
    assert len(urls) >= 400
    assert len(set(urls)) == len(urls)
    assert [url for url in urls if may_go(url, NAMES)] == []


@pytest.mark.parametrize("url", HARMLESS)
def test_the_rules_let_harmless_addresses_pass(url: str) -> None:
    assert may_go(url, HARMLESS_NAMES)


def test_the_table_holds_what_naive_checks_let_through() -> None:
    """The attack is real: the resolver makes inner addresses of these spellings, and `is_global` trusts some."""
    read: list[str] = []
    for url in hostile():
        host = url.removeprefix("http://").removesuffix("/")
        try:
            found = socket.getaddrinfo(host.strip("[]"), 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            continue
        read.append(str(found[0][4][0]))
    assert len(read) > 150
    assert sum(ip_address(address).is_global for address in read) > 40


def namespaces_work() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    tried = ["unshare", "--net", "--map-root-user", "ip", "link", "add", "way0", "type", "veth", "peer", "name", "way1"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


@pytest.mark.netns
@pytest.mark.skipif(
    not os.environ.get("CI") and not namespaces_work(), reason="needs unshare, ip and the right to make a namespace"
)
async def test_not_one_packet_leaves() -> None:
    command = ["unshare", "--net", "--map-root-user", sys.executable, "-m", "tests.hostile.quiet"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    told = json.loads(out)
    for way in ("directly", "by redirect"):
        assert told[way]["cases"] >= 400
        assert (told[way]["passed"], told[way]["connections"], told[way]["packets"]) == ([], 0, 0), way
    assert (told["by rebinding"]["passed"], told["harmless"]["failed"]) == ([], [])
    assert told["reached"] == sorted((PUBLIC, PUBLIC_V6)), "harmless and redirecting hosts, and nobody else"
    assert told["control"]["connections"] == 2
    assert told["control"]["packets"] >= 1, "the counters do count"

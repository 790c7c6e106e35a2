"""Calls every hostile address inside a network namespace of its own, and counts what leaves.

    unshare --net --map-root-user python -m tests.hostile.quiet

The namespace has loopback, where a server listens on every address, and one interface with a default route to nowhere:
a packet to anywhere else is counted there. The kernel's own counters are the judge, not our code. Prints one JSON
object.
"""

import asyncio
import json
import socket
import subprocess
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from gateway.egress import INPUT, AnswerRefused, Egress, EgressError, Refused
from tests.hostile.urls import HARMLESS, HARMLESS_NAMES, NAMES, PUBLIC, PUBLIC_V6, hostile

_SET_UP = f"""
link set lo up
link add way0 type veth peer name way1
link set way0 addrgenmode none
link set way1 addrgenmode none
link set way0 up
link set way1 up
addr add {PUBLIC}/32 dev lo
addr add 198.18.0.1/32 dev way0
route add default dev way0
-6 addr add {PUBLIC_V6}/128 dev lo nodad
-6 route add default dev way0
"""


def set_up() -> None:
    for line in _SET_UP.strip().splitlines():
        subprocess.run(["ip", *line.split()], check=True)


def way_out() -> int:
    """Packets that were sent outwards. By /proc: /sys still shows the namespace that it was mounted in."""
    lines = Path("/proc/net/dev").read_text("ascii").splitlines()
    fields = {name.strip(): rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    return int(fields["way0"][9])


def counted(file: str, kind: str, name: str) -> int:
    """A counter of this namespace, such as how many TCP connections were begun."""
    lines = [line.split() for line in Path(file).read_text("ascii").splitlines() if line.startswith(f"{kind}:")]
    return int(lines[1][lines[0].index(name)])


def begun() -> int:
    return counted("/proc/net/snmp", "Tcp", "ActiveOpens")


class World:
    """A server on every address, and the hostile name servers."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.asked: list[str] = []
        self.location = "/"
        self.answers: dict[str, list[str]] = NAMES | HARMLESS_NAMES

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached.append(str(ip_address(writer.get_extra_info("sockname")[0])))
        line = await reader.readline()
        while (await reader.readline()).strip():
            pass
        if line.startswith(b"GET /hop"):
            writer.write(b"HTTP/1.1 302 Found\r\nlocation: ")
            writer.write(self.location.encode("utf-8", "surrogatepass") + b"\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n")
        writer.write(b"content-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    async def lookup(self, host: str, port: int) -> Sequence[str]:
        """Names as the table says; everything else as a resolver reads it, `0x7f.1` included."""
        self.asked.append(host)
        if host in self.answers:
            return self.answers[host]
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [str(each[4][0]) for each in found]

    async def rebinding(self, host: str, port: int) -> Sequence[str]:
        """A public address for whoever checks, an inner one for whoever asks again."""
        self.asked.append(host)
        return [PUBLIC] if self.asked.count(host) == 1 else ["127.0.0.1"]


async def refused(egress: Egress, url: str) -> bool:
    try:
        await egress.send(INPUT, "GET", url, timeout_s=2)
    except (Refused, AnswerRefused):
        return True
    except EgressError:
        return False
    return False


async def directly(world: World) -> dict[str, object]:
    egress = Egress.open(lookup=world.lookup)
    before = begun(), way_out()
    passed = [url for url in hostile() if not await refused(egress, url)]
    after = begun(), way_out()
    await egress.aclose()
    return {"cases": len(list(hostile())), "passed": passed, "connections": after[0] - before[0],
            "packets": after[1] - before[1]}  # fmt: skip


async def by_redirect(world: World) -> dict[str, object]:
    """A public host sends us on to each. What cannot stand in a header's line is left out: it would end the line."""
    egress = Egress.open(lookup=world.lookup)
    targets = [url for url in hostile() if _is_absolute(url) and url.isprintable()]
    before = begun(), way_out()
    passed: list[str] = []
    for world.location in targets:
        if not await refused(egress, f"http://{PUBLIC}/hop"):
            passed.append(world.location)
    after = begun(), way_out()
    await egress.aclose()
    return {"cases": len(targets), "passed": passed, "connections": after[0] - before[0] - len(targets),
            "packets": after[1] - before[1]}  # fmt: skip


def _is_absolute(url: str) -> bool:
    """Others are places on the redirecting host itself: harmless there."""
    return url.startswith(("http://", "https://", "//"))


async def by_rebinding(world: World) -> dict[str, object]:
    """Each name is public when it is looked up first, and inner ever after."""
    world.asked.clear()
    names = [f"name-{number}.example" for number in range(20)]
    for name in names:
        egress = Egress.open(lookup=world.rebinding)
        await egress.send(INPUT, "GET", f"http://{name}/", timeout_s=2)
        await egress.aclose()
    return {"cases": len(names), "passed": [name for name in names if world.asked.count(name) != 1]}


async def harmless(world: World) -> dict[str, object]:
    egress = Egress.open(lookup=world.lookup)
    failed: list[str] = []
    for url in HARMLESS:
        try:
            reply = await egress.send(INPUT, "GET", url, timeout_s=2)
            failed += [] if reply.status == 200 else [url]
        except EgressError:
            failed.append(url)
    await egress.aclose()
    return {"cases": len(HARMLESS), "failed": failed}


async def control() -> dict[str, int]:
    """That the counters count: one connection outwards, which nobody answers, and one inwards."""
    before = begun(), way_out()
    loop = asyncio.get_running_loop()
    with socket.socket() as outwards, socket.socket() as inwards:
        outwards.setblocking(False)
        inwards.setblocking(False)
        outwards.connect_ex(("8.8.8.8", 80))
        await loop.sock_connect(inwards, ("127.0.0.1", 80))
        await loop.sock_sendall(inwards, b"GET / HTTP/1.0\r\n\r\n")
        while await loop.sock_recv(inwards, 4096):
            pass
        for _ in range(1000):
            if way_out() > before[1]:
                break
            await asyncio.sleep(0)
    return {"connections": begun() - before[0], "packets": way_out() - before[1]}


async def main() -> None:
    world = World()
    server = await asyncio.start_server(world.serve, ["0.0.0.0", "::"], 80, backlog=512)
    async with server:
        told: dict[str, object] = {"directly": await directly(world), "by redirect": await by_redirect(world)}
        told["by rebinding"] = await by_rebinding(world)
        told["harmless"] = await harmless(world)
        told["reached"] = sorted(set(world.reached))
        told["control"] = await control()
        assert world.reached.pop() == "127.0.0.1"
    print(json.dumps(told))


if __name__ == "__main__":
    set_up()
    asyncio.run(main())

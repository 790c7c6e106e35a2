"""Through a forward proxy: CONNECT for https and the whole URL for http (RFC 9110, 9.3.6 and 7.1), and what is said
where it fails. The proxy here is a stand-in from that document."""

import asyncio
import base64
import contextlib
import os
import ssl
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gateway.configuration import SettingsError
from gateway.egress import INPUT, PROVIDER, WEBHOOK, Egress, NotSent, Refused
from gateway.egress.proxy import ForwardProxy
from tests.gateway.egress.certificates import Authority
from tests.gateway.egress.test_egress import OK, Peer, peer, read_request, says
from tests.settings.test_configured_places import loaded

HOST = "pictures.example"


class Proxy:
    """Tunnels every name to the port that `leads` gives for it; another it refuses as `refusal` says. `asked` holds the
    head of each request."""

    def __init__(self, leads: dict[str, int], refusal: bytes) -> None:
        self.leads, self.refusal, self.asked, self.port = leads, refusal, list[str](), 0

    @property
    def lines(self) -> list[str]:
        return [head.partition("\r\n")[0] for head in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await read_request(reader)
            self.asked.append(head.decode())
            method, target, _ = self.lines[-1].split(" ")
            port = self.leads.get(target if method == "CONNECT" else target.split("/")[2])
            if port is None:
                writer.write(self.refusal)
                return
            there_reader, there = await asyncio.open_connection("127.0.0.1", port)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                there.write(head)
            await asyncio.gather(pipe(reader, there), pipe(there_reader, writer))


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def proxied(
    leads: dict[str, int] | None = None, refusal: bytes = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"
) -> AsyncGenerator[Proxy]:
    proxy = Proxy(leads or {}, refusal)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy


@contextlib.asynccontextmanager
async def secured(certificate: tuple[Path, Path], answer: bytes, then: str = "keep") -> AsyncGenerator[Peer]:
    it, tls = Peer(says(answer, then)), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    async with await asyncio.start_server(it.serve, "127.0.0.1", 0, ssl=tls) as server:
        it.port = server.sockets[0].getsockname()[1]
        yield it
        await it.end()


async def nobody_knows(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host}:{port} was looked up")


@contextlib.asynccontextmanager
async def egress_by(proxy: Proxy, *allow: str, auth: str = "") -> AsyncGenerator[Egress]:
    url = f"http://{auth}127.0.0.1:{proxy.port}"
    egress = Egress.open(proxy=url, allow_hosts=allow, lookup=nobody_knows)
    try:
        yield egress
    finally:
        await egress.aclose()


async def said(authority: Authority, proxy: Proxy, *calls: str, auth: str = "") -> list[str]:
    """What a process that trusts the authority says of each call."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.gateway.egress.caller", f"http://{auth}127.0.0.1:{proxy.port}", *calls),
        env={"SSL_CERT_FILE": str(authority.file), "PATH": os.defpath},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return out.decode().splitlines()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_a_name_goes_through_a_tunnel_and_is_verified_at_its_end(authority: Authority) -> None:
    async with (
        secured(authority.signs(HOST), OK) as host,
        secured(authority.signs("late.example", days=-1), OK) as late,
        secured(authority.signs("other.example"), OK) as other,
        proxied({f"{HOST}:443": host.port, "late.example:443": late.port, "wrong.example:443": other.port}) as proxy,
    ):
        calls = (f"GET https://{HOST}/a", "GET https://late.example/a", "GET https://wrong.example/a")
        good, expired, wrong = await said(authority, proxy, *calls)
    assert good == "200 ok"
    assert expired.startswith("NotSent")
    assert wrong.startswith("NotSent")
    assert (len(host.requests), late.requests, other.requests) == (1, [], [])
    assert f"\r\nhost: {HOST}\r\n".encode() in host.head
    assert proxy.lines == [f"CONNECT {name}:443 HTTP/1.1" for name in (HOST, "late.example", "wrong.example")]


async def test_a_tunnel_that_breaks_after_the_request_may_have_sent_it(authority: Authority) -> None:
    async with (
        secured(authority.signs(HOST), b"", "fin") as host,
        proxied({f"{HOST}:443": host.port}) as proxy,
    ):
        (broken,) = await said(authority, proxy, f"POST https://{HOST}/v1")
    assert broken.startswith("MaybeSent")
    assert len(host.requests) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
async def test_a_proxy_that_opens_no_tunnel_has_sent_nothing(refusal: bytes) -> None:
    base = f"https://{HOST}/v1"
    async with proxied(refusal=refusal) as proxy, egress_by(proxy) as egress:
        with pytest.raises(NotSent):
            await egress.send(PROVIDER.at(base), "POST", base, {"authorization": "Bearer hunter2"}, b"{}")
    assert proxy.lines == [f"CONNECT {HOST}:443 HTTP/1.1"]
    assert "hunter2" not in proxy.asked[0]


async def test_a_proxy_that_is_not_there_has_sent_nothing() -> None:
    async with proxied() as proxy:
        pass
    async with egress_by(proxy) as egress:
        with pytest.raises(NotSent):
            await egress.send(PROVIDER.at(f"https://{HOST}"), "POST", f"https://{HOST}/v1", {}, b"{}")


async def test_a_plain_picture_is_asked_for_by_its_whole_url_with_the_proxys_password_alone() -> None:
    async with (
        peer(says(OK)) as host,
        proxied({HOST: host.port}) as proxy,
        egress_by(proxy, auth="edge:s3%2Fcret@") as egress,
    ):
        reply = await egress.send(INPUT, "GET", f"http://{HOST}/a.png?x=1")
    assert (reply.status, reply.body) == (200, b"ok")
    assert proxy.lines == [f"GET http://{HOST}/a.png?x=1 HTTP/1.1"]
    given = base64.b64encode(b"edge:s3/cret").decode()
    assert f"\r\nProxy-Authorization: Basic {given}\r\n" in proxy.asked[0]


async def test_a_tunnel_is_asked_for_with_the_password_that_does_not_travel_on(authority: Authority) -> None:
    async with secured(authority.signs(HOST), OK) as host, proxied({f"{HOST}:443": host.port}) as proxy:
        assert await said(authority, proxy, f"GET https://{HOST}/a", auth="edge:word@") == ["200 ok"]
    given = base64.b64encode(b"edge:word").decode()
    assert f"\r\nProxy-Authorization: Basic {given}\r\n" in proxy.asked[0]
    assert b"authorization" not in host.head


async def test_a_host_inside_is_reached_directly() -> None:
    async with peer(says(OK)) as inside, proxied() as proxy, egress_by(proxy, f"127.0.0.1:{inside.port}") as egress:
        reply = await egress.send(INPUT, "GET", f"{inside.base}/a.png")
    assert (reply.status, proxy.asked) == (200, [])


@pytest.mark.parametrize("url", ["http://10.0.0.7/a.png", "https://169.254.169.254/latest", "https://[::1]/"])
async def test_what_is_written_as_a_private_address_does_not_reach_the_proxy(url: str) -> None:
    async with proxied() as proxy, egress_by(proxy) as egress:
        with pytest.raises(Refused):
            await egress.send(INPUT, "GET", url)
        with pytest.raises(Refused):
            await egress.check(WEBHOOK, url)
    assert proxy.asked == []


async def test_the_proxy_itself_is_nowhere_that_a_caller_may_go() -> None:
    async with proxied() as proxy, egress_by(proxy) as egress:
        with pytest.raises(Refused):
            await egress.send(INPUT, "GET", f"http://127.0.0.1:{proxy.port}/")
    assert proxy.asked == []


async def test_the_place_of_a_webhook_is_judged_without_a_look_up() -> None:
    async with proxied() as proxy, egress_by(proxy) as egress:
        assert await egress.check(WEBHOOK, "https://hooks.example/in") == "https://hooks.example/in"


# --- the setting ------------------------------------------------------------------------------------------------------

BAD = [
    "proxy:3128",
    "http://proxy",
    "socks5://proxy:1080",
    "http://proxy:3128/path",
    "http://u:hunter2@:3128",
    "http://a b:1",
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_proxy_is_refused_in_words_that_do_not_repeat_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"egress\.proxy: expected http://HOST:PORT") as error:
        ForwardProxy.parse(text)
    assert "hunter2" not in str(error.value)
    with pytest.raises(SettingsError, match=r"egress\.proxy: expected"):
        loaded(tmp_path, f'[egress]\nproxy = "{text}"')


def test_a_password_stands_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a password in the file itself is refused"):
        loaded(tmp_path, '[egress]\nproxy = "http://edge:hunter2@proxy:3128"')
    by_name = '[egress]\nproxy = "env:PROXY"'
    one, same, other = (
        loaded(tmp_path, by_name, PROXY=f"http://edge:{word}@proxy:3128") for word in ("a1", "a1", "b2")
    )
    assert one.proxy is not None
    assert one.proxy.reveal() == "http://edge:a1@proxy:3128"
    assert "a1@" not in repr(one)
    assert one.proxy.reveal() in one.secret_texts
    assert one.proxy == same.proxy
    assert one.proxy != other.proxy
    assert "a1" not in repr(ForwardProxy.parse(one.proxy.reveal()))


def test_the_proxy_is_the_one_that_was_named_and_none_of_the_environments(tmp_path: Path) -> None:
    assert loaded(tmp_path, "", HTTPS_PROXY="http://proxy:3128").proxy is None
    found = loaded(tmp_path, '[egress]\nproxy = "http://proxy:3128"').proxy
    assert found is not None
    assert ForwardProxy.parse(found.reveal()).url == "http://proxy:3128"

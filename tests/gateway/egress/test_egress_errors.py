"""The table of errors is whole, and what it says about "sent" follows from whether a connection existed."""

import asyncio
import errno
from types import SimpleNamespace

import aiohttp
import httpx
import pytest
from aiohttp import client_exceptions
from yarl import URL

from gateway.egress.engine_errors import ENGINE, translate, was_sent

AIOHTTP = [
    kind
    for kind in vars(client_exceptions).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == client_exceptions.__name__
]

NOT_SENT = {httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol}


def all_below(kind: type) -> set[type]:
    return {kind}.union(*(all_below(sub) for sub in kind.__subclasses__()))


def made(kind: type[Exception]) -> Exception:
    """An instance without its constructor, which differs for each."""
    error = kind.__new__(kind)
    Exception.__init__(error)
    return error


def test_every_aiohttp_error_has_its_row() -> None:
    assert len(AIOHTTP) > 25
    assert [kind.__name__ for kind in AIOHTTP if kind not in ENGINE] == []


def test_every_row_is_reached_by_its_own_class() -> None:
    for kind, said in ENGINE.items():
        if not issubclass(kind, Exception):
            continue
        error = translate(made(kind), connected=said not in NOT_SENT)
        assert type(error) is said, kind


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize(
    "kind", [*AIOHTTP, OSError, TimeoutError, ValueError, RecursionError, asyncio.InvalidStateError]
)
def test_a_connection_decides_whether_it_was_sent(kind: type[Exception], connected: bool) -> None:
    assert was_sent(translate(made(kind), connected=connected)) is connected


def test_was_sent_for_every_httpx_class() -> None:
    kinds = all_below(httpx.TransportError)
    not_sent = {kind for kind in kinds if not was_sent(made(kind))}
    assert {kind for kind in not_sent if kind.__module__ == "httpx"} == NOT_SENT


def test_an_unknown_error_may_have_been_sent() -> None:
    assert was_sent(RuntimeError())


def test_timeouts_stay_timeouts_on_either_side() -> None:
    late = aiohttp.SocketTimeoutError()
    assert isinstance(translate(late, connected=True), httpx.ReadTimeout)
    assert isinstance(translate(late, connected=False), httpx.ConnectTimeout)
    early = aiohttp.ConnectionTimeoutError()
    assert isinstance(translate(early, connected=True), httpx.ReadTimeout)


def test_the_words_hold_no_url_and_no_address() -> None:
    key = SimpleNamespace(host="secret.example", port=443, ssl=True)
    refused = OSError(errno.ECONNREFUSED, "Connect call failed ('10.1.2.3', 443)")
    error = aiohttp.ClientConnectorError(key, refused)  # pyright: ignore[reportArgumentType] - only its host and port are read
    assert str(translate(error, connected=False)) == "ClientConnectorError ECONNREFUSED"
    assert str(translate(aiohttp.InvalidURL(URL("https://x/?token=1")), connected=False)) == "InvalidURL"

"""The exact table from the engine's errors (aiohttp's and the system's) to httpx's, and from those to "was it sent?".

Two facts decide. The transport knows whether a connection existed, and that settles it: without one nothing was
sent, with one it may have been, even if the error is a refused connection (aiohttp repeats idempotent requests once
when a reused connection breaks, so a first try may have arrived). The class only says how it is worded.
"""

import asyncio
import errno

import aiohttp
import httpx
from aiohttp import client_exceptions

ENGINE: dict[type[BaseException], type[httpx.TransportError]] = {
    # Raised while connecting.
    aiohttp.ClientConnectorError: httpx.ConnectError,
    aiohttp.ClientConnectorDNSError: httpx.ConnectError,
    aiohttp.ClientSSLError: httpx.ConnectError,
    aiohttp.ClientConnectorSSLError: httpx.ConnectError,
    aiohttp.ClientConnectorCertificateError: httpx.ConnectError,
    aiohttp.ClientProxyConnectionError: httpx.ConnectError,
    client_exceptions.UnixClientConnectorError: httpx.ConnectError,
    aiohttp.ServerFingerprintMismatch: httpx.ConnectError,
    aiohttp.ConnectionTimeoutError: httpx.ConnectTimeout,
    # Raised before connecting: aiohttp does not take the URL.
    aiohttp.InvalidURL: httpx.UnsupportedProtocol,
    aiohttp.InvalidUrlClientError: httpx.UnsupportedProtocol,
    aiohttp.NonHttpUrlClientError: httpx.UnsupportedProtocol,
    # Raised on a connection.
    aiohttp.ClientConnectionError: httpx.ReadError,
    aiohttp.ClientOSError: httpx.ReadError,
    aiohttp.ClientConnectionResetError: httpx.WriteError,
    aiohttp.ServerConnectionError: httpx.ReadError,
    aiohttp.ServerDisconnectedError: httpx.RemoteProtocolError,
    aiohttp.ServerTimeoutError: httpx.ReadTimeout,
    aiohttp.SocketTimeoutError: httpx.ReadTimeout,
    aiohttp.ClientPayloadError: httpx.ReadError,
    aiohttp.UploadAbortedError: httpx.WriteError,
    aiohttp.ClientError: httpx.ReadError,
    # The answer is not HTTP, or more of it than we take (header lines, header count).
    aiohttp.ClientResponseError: httpx.RemoteProtocolError,
    aiohttp.ContentTypeError: httpx.RemoteProtocolError,
    aiohttp.ClientHttpProxyError: httpx.RemoteProtocolError,
    aiohttp.WSServerHandshakeError: httpx.RemoteProtocolError,
    aiohttp.WSMessageTypeError: httpx.RemoteProtocolError,
    # aiohttp never follows redirects for us; its words for them are here so that the table has no gap.
    aiohttp.TooManyRedirects: httpx.RemoteProtocolError,
    aiohttp.RedirectClientError: httpx.RemoteProtocolError,
    aiohttp.InvalidUrlRedirectClientError: httpx.RemoteProtocolError,
    aiohttp.NonHttpUrlRedirectClientError: httpx.RemoteProtocolError,
    # The system's.
    asyncio.TimeoutError: httpx.ReadTimeout,
    OSError: httpx.ReadError,
    # Whatever else comes out of a parser or a library.
    Exception: httpx.RemoteProtocolError,
}

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class AddressRefused(httpx.ConnectError):
    """An address of the host is not one that may be talked to."""


def was_sent(error: Exception) -> bool:
    """Whether the request may have been sent, by the class of an httpx error. Unknown classes may have been."""
    return not isinstance(error, _NOT_SENT)


def translate(error: Exception, *, connected: bool) -> httpx.TransportError:
    """The httpx error that says what the engine's error means, given whether a connection existed."""
    said = _said(error)(_words(error))
    if was_sent(said) is connected:
        return said
    timed_out = isinstance(error, asyncio.TimeoutError)
    if connected:
        return (httpx.ReadTimeout if timed_out else httpx.ReadError)(_words(error))
    return (httpx.ConnectTimeout if timed_out else httpx.ConnectError)(_words(error))


def _said(error: Exception) -> type[httpx.TransportError]:
    return next(ENGINE[kind] for kind in type(error).__mro__ if kind in ENGINE)


def _words(error: Exception) -> str:
    """The class and the system's symbol. Never `str(error)`: aiohttp writes URLs and peers' bytes into it."""
    number = error.errno if isinstance(error, OSError) else None
    return f"{type(error).__name__} {errno.errorcode.get(number, '')}".strip() if number else type(error).__name__

"""A process that makes calls as the egress does and says what came of each: trust in an authority is a process's own.

    SSL_CERT_FILE=AUTHORITY python -m tests.gateway.egress.caller PROXY URL...

One line for each URL: the status, or the error's class and words. No name resolves here but those of `[]`.
"""

import asyncio
import socket
import sys

from gateway.egress import INPUT, PROVIDER, Egress, EgressError


async def nobody_knows(host: str, port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def main(proxy: str, urls: list[str]) -> None:
    egress = Egress.open(proxy=proxy, lookup=nobody_knows)
    for url in urls:
        method, _, place = url.partition(" ")
        profile = INPUT if method == "GET" else PROVIDER.at(place)
        try:
            reply = await egress.send(profile, method, place, {}, b"{}" if method == "POST" else None)
            print(reply.status, reply.body.decode())
        except EgressError as error:
            print(type(error).__name__, error)
    await egress.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))

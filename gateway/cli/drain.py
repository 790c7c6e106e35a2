"""`kontext drain`: take a replica, or a provider for all of them, out of service, and put it back."""

import asyncio
import json
from typing import Any, NoReturn

import httpx
import rich_click as click
from rich.console import Console

from gateway.cli.exits import BY_PROBLEM, Exit
from gateway.cli.reaching import HERE, KEY_HINT, named

LOOK_S = 0.5
Answer = dict[str, Any]
"""An answer of the admin routes, decoded from JSON."""


@click.command()
@click.argument("provider", required=False)
@click.option("--note", required=True, help="Why, for whoever reads the log.")
@click.option("--restore", is_flag=True, help="Put it back into service instead.")
@click.option("--within", "within_s", type=click.FloatRange(min=0), default=900.0, show_default=True,
              help="Seconds to wait for a replica's edits in flight; 0 waits not at all.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--url", help="The replica; else KONTEXT_URL, else the one at 127.0.0.1:8080.")
def drain(provider: str | None, note: str, restore: bool, within_s: float, as_json: bool, url: str | None) -> None:
    """Take a replica out of service and wait until nothing is in flight there: it is not ready, begins nothing new,
    and what runs goes on. With PROVIDER: nothing new is sent to it, by any replica.

    The key (scope `admin`) is KONTEXT_API_KEY. Exits with 1 where edits are still in flight when the time is over.
    """
    named_one, key = named(url)
    address = (named_one or HERE).rstrip("/")
    place = f"/admin/providers/{provider}" if provider else "/admin/replica"
    act = f"{place}/{'restore' if restore else 'drain'}"
    wait_s = 0.0 if provider or restore else within_s
    answer = asyncio.run(_told(address, key, act, note, wait_s))
    click.echo(json.dumps(answer) if as_json else _said(answer, provider))
    if wait_s and answer["in_flight"]:
        raise SystemExit(Exit.FAILED)


async def _told(address: str, key: str, act: str, note: str, wait_s: float) -> Answer:
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30.0) as http:
        answer = await _asked(http, "POST", act, {"note": note})
        with Console(stderr=True).status("") as shown:
            while wait_s > 0 and answer["in_flight"]:
                shown.update(f"{answer['in_flight']} in flight at {answer['replica']}")
                await asyncio.sleep(LOOK_S)
                wait_s -= LOOK_S
                answer = await _asked(http, "GET", "/admin/replica", None)
    return answer


async def _asked(http: httpx.AsyncClient, method: str, path: str, body: Answer | None) -> Answer:
    try:
        response = await http.request(method, path, json=body)
        document: Answer = response.json()
    except (httpx.HTTPError, ValueError):
        _fail(f"no gateway answers at {http.base_url}; name one by --url", Exit.UNREACHABLE)
    if response.status_code != 200:
        kind = str(document.get("type", "")).rpartition(":")[2]
        expected = f"\n  expected: {document['expected']}" if document.get("expected") else ""
        hint = f"\n  {KEY_HINT}" if kind == "unauthorized" else ""
        _fail(f"{document.get('detail')}{expected}{hint}", BY_PROBLEM.get(kind, Exit.FAILED))
    return document


def _fail(words: str, code: Exit) -> NoReturn:
    click.echo(words, err=True)
    raise SystemExit(code)


def _said(answer: Answer, provider: str | None) -> str:
    if provider:
        return f"{provider} is {answer['state']}; {answer['in_use']} attempts are open there"
    state = "in service" if answer["ready"] else "out of service"
    return f"{answer['replica']} is {state}; {answer['in_flight']} edits are in flight there"

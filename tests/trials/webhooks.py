"""`python -m tests.trials.webhooks`: edits whose ends are told by webhook, while gateways are killed and the receiver
refuses one request in three. It prints what was told, how often, and what was lost.

Everything is on loopback, in a folder that is gone afterwards. Exits 1 where an end was not told, or a message came
under two ids.
"""

import argparse
import asyncio
import random
import shutil
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from gateway.rehearsal.caller import Answer, Caller
from gateway.rehearsal.fleet import TEAM_KEY, Account, Fleet, Terms, new_folder, write_terms
from gateway.rehearsal.server import Rehearsal
from gateway.state.embedded import stop
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.stage import PHOTO_URI

PATH, POLICY, OFFER = "/told", "one", "one/kontext-pro"
SICK_OF = 3
WITHIN_S = 180.0


async def trial(edits: int, seed: int, kill_every_s: float) -> bool:
    folder, chance = new_folder(), random.Random(seed)
    try:
        async with AsyncExitStack() as stack:
            hooks = await stack.enter_async_context(Receiver.serve())
            stand_in = await stack.enter_async_context(Rehearsal.serve(seconds=0.3, fast=True))
            fleet = Fleet(folder, configured(folder, stand_in, hooks))
            stack.push_async_callback(fleet.aclose)
            http = await stack.enter_async_context(httpx.AsyncClient(timeout=30))
            await fleet.add(3)
            secret = await registered(http, fleet.urls[0], hooks)
            answers, kills = await played(fleet, http, hooks, edits, chance, kill_every_s)
            return judged(answers, hooks, secret, kills, await waited(answers, hooks))
    finally:
        await stop(folder / "state")
        shutil.rmtree(folder)


def configured(folder: Path, stand_in: Rehearsal, hooks: Receiver) -> Path:
    account = Account(name=POLICY, adapter="runware", base_url=stand_in.runware_url, settings=("max_concurrency = 64",))
    return write_terms(
        folder,
        Terms(accounts=(account,), policies={POLICY: (OFFER,)}, seconds=0.3, allow_hosts=(f"127.0.0.1:{hooks.port}",)),
    )


async def registered(http: httpx.AsyncClient, url: str, hooks: Receiver) -> str:
    headers = {"authorization": f"Bearer {TEAM_KEY}"}
    reply = await http.post(f"{url}/v1/webhooks", json={"url": hooks.url + PATH}, headers=headers)
    return reply.json()["secret"]


async def played(
    fleet: Fleet, http: httpx.AsyncClient, hooks: Receiver, edits: int, chance: random.Random, every_s: float
) -> tuple[list[Answer], int]:
    """Every wish with a caller who repeats it; a gateway is killed, and the receiver made sick, all the time."""
    callers, until_s = Caller(http, lambda: fleet.urls, chance), time.monotonic() + WITHIN_S
    document = {"images": [PHOTO_URI], "policy": POLICY}
    limit = asyncio.Semaphore(32)

    async def wish(number: int) -> Answer:
        async with limit:
            hooks.answers[PATH].append(503 if chance.randrange(SICK_OF) == 0 else 204)
            return await callers.wish(f"{number}", {**document, "prompt": f"Make it {number}"}, until_s)

    async def trouble() -> None:
        while True:
            await asyncio.sleep(every_s)
            await fleet.kill_one(chance)

    killing = asyncio.create_task(trouble())
    try:
        return list(await asyncio.gather(*map(wish, range(edits)))), fleet.kills
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)


async def waited(answers: list[Answer], hooks: Receiver) -> float:
    """Until every end was told, or for as long as a retry may take."""
    began_s, wanted = time.monotonic(), {answer.edit for answer in answers}
    while time.monotonic() - began_s < WITHIN_S:
        if wanted <= {one.json()["data"]["id"] for one in hooks.at(PATH)}:
            break
        await asyncio.sleep(0.2)
    return time.monotonic() - began_s


def judged(answers: list[Answer], hooks: Receiver, secret: str, kills: int, waited_s: float) -> bool:
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for one in hooks.at(PATH):
        event = one.verified(secret)
        ids[event["data"]["id"]].add(one.id)
    lost = [answer.edit for answer in answers if answer.edit not in ids]
    doubled = [edit for edit, found in ids.items() if len(found) > 1]
    print(f"edits {len(answers)}, of which succeeded {sum(one.status == 'succeeded' for one in answers)}")
    print(f"gateways killed {kills}; waited {waited_s:.0f} s after the last edit")
    print(f"requests at the receiver {len(hooks.at(PATH))}, all signed; ends told {len(ids)}")
    print(f"ends never told {len(lost)}; messages under two ids {len(doubled)}")
    return not lost and not doubled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill-every", type=float, default=3.0)
    asked = parser.parse_args()
    raise SystemExit(0 if asyncio.run(trial(asked.edits, asked.seed, asked.kill_every)) else 1)


if __name__ == "__main__":
    main()

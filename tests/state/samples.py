"""An edit, its attempts and its ends, as small as they can be, and a clock that is wound by hand."""

from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis

from adapters.contract import Edit, HttpCall, ImageFormat, Json, Picture, Pixels, Step, Tier, Upload
from gateway.state.records import AttemptRecord, AttemptState, EditRecord, End, Image, Problem, Status, Wish
from policies.plans import Candidate, Exclusion, Plan
from policies.reasons import Reason

PICTURE = Picture(digest="ab" * 32, format=ImageFormat.JPEG, width=1248, height=832, bytes=123_456)


class HandClock:
    """Milliseconds that move only when told to."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def forward(self, ms: int) -> int:
        self.now_ms += ms
        return self.now_ms


def edit_record(number: int = 1) -> EditRecord:
    """A record with a list, an empty list, a large integer and letters outside ASCII: what Lua's JSON would bend."""
    candidate = Candidate(offer="runware/kontext-pro", tier=Tier.STANDARD, price_micro=40_000, expected_s=9.1)
    left_out = Exclusion(offer="local/preview", reason=next(iter(Reason)), detail="–")
    return EditRecord(
        id=f"edit_{number:032x}",
        team="growth",
        key_id="ci",
        origin="00" * 16,
        edit=Edit(prompt="Mach die Tasse blau — bitte", images=(PICTURE,), size=Pixels(1392, 752), seed=2**63 - 1),
        wish=Wish(tier=Tier.STANDARD, policy="production", metadata={"campaign": "spring"}),
        plan=Plan(policy="production", tier=Tier.STANDARD, candidates=(candidate,), exclusions=(left_out,)),
        revision="9f31",
    )


def attempt(
    number: int = 1,
    state: AttemptState = AttemptState.INTENT,
    step: Step = Step.SUBMIT,
    url: str = "/",
) -> AttemptRecord:
    body = Json('[{"taskType":null}]', uploads=(Upload(PICTURE.digest, "data_uri", (0, "taskType")),))
    return AttemptRecord(
        id=f"{number:032x}",
        number=number,
        offer="runware/kontext-pro",
        provider="runware",
        price_micro=40_000,
        state=state,
        call=HttpCall(step=step, method="POST", url=url, body=body, carry={"run": "r1"}),
    )


def settled(number: int = 1) -> AttemptRecord:
    return replace(attempt(number, AttemptState.SETTLED), cost_micro=40_000, cost_source="provider")


def end(status: Status) -> End:
    if status is Status.SUCCEEDED:
        image = Image(digest="cd" * 32, format=ImageFormat.PNG, width=1392, height=752, bytes=9, seed=2**53 + 1)
        return End(status=status, offer="runware/kontext-pro", images=(image,), cost_micro=40_000)
    return End(status=status, problem=Problem(kind=status, detail="because"))


async def whole_store(store: Redis) -> object:
    """All that lies in it, to see that a step changed nothing."""
    read: Any = {
        b"hash": store.hgetall,
        b"set": store.smembers,
        b"string": store.get,
        b"zset": lambda key: store.zrange(key, 0, -1, withscores=True),
        b"stream": store.xrange,
    }
    return {key: await read[await store.type(key)](key) for key in await store.keys("*")}

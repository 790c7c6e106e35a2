"""What a quote says is what an edit sent at that moment does: a thousand random requests, each quoted and then accepted
by the real engine over the real store, while nothing that a plan may know changes."""

import hashlib
import random
from collections import Counter as Counts
from collections.abc import AsyncIterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import ConnectionPool

from adapters.contract import FailureKind, HttpCall, ImageFormat, Picture, Step, Tier
from gateway.api.admission import Identity
from gateway.api.idempotency import fingerprint
from gateway.api.orders import Desk
from gateway.api.purse import Purse
from gateway.api.requests import Form, read_json
from gateway.configuration import load
from gateway.current import Current
from gateway.egress import Egress
from gateway.engine.engine import NoOffer
from gateway.engine.intake import Intake, Source
from gateway.engine.order import Order
from gateway.engine.timing import Timing
from gateway.pictures import Pictures
from gateway.secret import Secret
from gateway.settings import Key, Settings
from gateway.state import scripts
from gateway.state.budgets import Budgets
from gateway.state.endpoints import Endpoints
from gateway.state.patience import Patience
from gateway.state.records import AttemptRecord, AttemptState
from gateway.state.references import Reference
from gateway.webhooks.registrar import Registrar
from policies.candidates import provider_of
from policies.plans import Plan
from tests.engine_path.stage import Replica, Stage
from tests.engine_path.store_line import StoreLine

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # Edits are broken off before their path begins: what is asked is what they were accepted with.
    pytest.mark.filterwarnings("ignore:coroutine 'Route.follow' was never awaited:RuntimeWarning"),
]

REQUESTS = 1000
OFFERS = (
    "runware/kontext-pro",
    "runware/kontext-max",
    "runware/kontext-dev",
    "runflow/kontext-pro",
    "runflow/kontext-max",
    "local/preview",
)
CONFIG = f"""\
[providers.runware]
api_key = "env:KEY"
[providers.runflow]
api_key = "env:KEY"
[providers.local]
base_url = "http://local.test/v1"

[policies.balanced]
order = "balanced"
offers = {list(OFFERS)}
degrade_to = "preview"
[[policies.balanced.rules]]
when = {{ utc = "20:00-06:00" }}
tier = "draft"
order = ["cheapest", "fastest"]

[policies.canary]
tier = "draft"
order = ["weighted"]
offers = ["runware/kontext-pro", "runflow/kontext-pro", "runware/kontext-dev"]
shares = {{ "runware/kontext-pro" = 5, "runflow/kontext-pro" = 3, "runware/kontext-dev" = 1 }}
sticky = "user"

[policies.thrifty]
order = ["fastest"]
offers = {list(OFFERS)}
[[policies.thrifty.rules]]
when = {{ budget_left_below = 0.8 }}
tier = "preview"
order = ["cheapest"]

[teams.growth]
policy = "balanced"
budget = {{ month_usd = "1000.00" }}
keys = [{{ id = "ci", hash = "sha256:{"0" * 64}" }}]

[teams.purse]
policy = "thrifty"
budget = {{ total_usd = "0.10" }}
keys = [{{ id = "ci", hash = "sha256:{"2" * 64}" }}]

[teams.narrow]
policy = "canary"
tier = "standard"
offers = ["runflow/kontext-pro", "runware/kontext-max"]
keys = [{{ id = "ci", hash = "sha256:{"1" * 64}" }}]
"""


class Tray(Intake):
    """Pictures that are already here: an address is a size."""

    def __init__(self) -> None: ...

    async def take(self, team: str, sources: Mapping[str, Source], reference: Reference) -> dict[str, Picture]:
        return {field: _picture(str(source)) for field, source in sources.items()}


def _picture(address: str) -> Picture:
    width, _, height = address.rpartition("/")[2].partition("x")
    return Picture(hashlib.sha256(address.encode()).hexdigest(), ImageFormat.PNG, int(width), int(height), 1000)


class Counter:
    """A desk and an engine, wired as the application has them, and one clock for both."""

    def __init__(self, stage: Stage, settings: Settings) -> None:
        self.stage, self.settings = stage, settings
        self.replica = Replica(stage, "a", Timing(), settings)
        purse = Purse(Current(settings), Budgets(stage.line), stage.clock)
        registrar = Registrar(Endpoints(stage.line), Egress.open(), stage.clock)
        self.desk = Desk(Current(settings), Tray(), Secret("x" * 32), purse, registrar, Patience(stage.clock, 0))

    def key(self, team: str) -> Key:
        return next(key for key in self.settings.keys.values() if key.team == team)

    async def order(self, fields: dict[str, Any], key: Key, idempotency_key: str | None = None) -> Order:
        form = Form(read_json(msgspec.json.encode(fields)))
        identity = Identity(fingerprint=fingerprint(form), key=idempotency_key)
        return await self.desk.order(form, key, identity, None, self.replica.engine.new_id())

    async def quoted(self, fields: dict[str, Any], key: Key, idempotency_key: str | None = None) -> Plan:
        return self.replica.engine.plan(await self.order(fields, key, idempotency_key))

    async def done(self, fields: dict[str, Any], key: Key, idempotency_key: str | None = None) -> Plan:
        """The plan that the store keeps of an accepted edit; or that of a refusal. The edit goes no further."""
        try:
            record = await self.replica.engine.accept(await self.order(fields, key, idempotency_key))
        except NoOffer as refused:
            return refused.plan
        await self.replica.die(record)
        return (await self.stage.stored(record.id)).plan

    async def live(self, chance: random.Random) -> None:
        """Some time passes, attempts end well and badly, and now and then an operator steps in."""
        clock, health = self.stage.clock, self.replica.health
        clock.forward(chance.random() * 300)
        offer, kinds = chance.choice(OFFERS), chance.choice(((None,), (None, None, FailureKind.BUSY), KINDS))
        for _ in range(chance.randint(0, 4)):
            ended = _attempt(offer, chance.choice(kinds), chance.choice((None, 5.0)))
            with health.watching(ended, 30.0, None) as watch:
                clock.forward(chance.expovariate(0.1))
                watch.ended(ended, accepted_s=0.2)
        if chance.random() < 0.03:
            await health.drain(provider_of(offer), by="a test", note="")
        elif chance.random() < 0.2:
            for provider in self.settings.providers:
                await health.restore(provider)


KINDS = tuple(FailureKind)


def _attempt(offer: str, failure: FailureKind | None, retry_after_s: float | None) -> AttemptRecord:
    state = AttemptState.SETTLED if failure is None else AttemptState.RELEASED
    call = HttpCall(step=Step.SUBMIT, method="POST", url="https://provider.test/")
    return AttemptRecord(
        id=offer, number=1, offer=offer, provider=provider_of(offer), price_micro=40_000, state=state, call=call,
        cost_micro=40_000 if failure is None else None, failure=failure,
        retry_after_s=retry_after_s if failure is FailureKind.BUSY else None,
    )  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def counter(engine_url: str, tmp_path: Path) -> AsyncIterator[Counter]:
    pool = ConnectionPool.from_url(engine_url)
    line = StoreLine(connection_pool=pool)
    await line.flushall()
    stage = Stage(line, cast("Pictures", None), tmp_path)
    (tmp_path / "kontext.toml").write_text(CONFIG)
    counter = Counter(stage, load(tmp_path / "kontext.toml", {"KEY": "a-key"}, date(2027, 1, 15)))
    yield counter
    await counter.replica.engine.aclose()
    await stage.aclose()
    await line.aclose()
    await pool.aclose()


CHOICES: dict[str, tuple[Any, ...]] = {
    "policy": ("balanced", "canary", "thrifty"),
    "tier": tuple(tier.value for tier in Tier),
    "size": ("auto", "model", "16:9", "512x512", "1392x752"),
    "n": (1, 1, 2, 5, 20),
    "seed": (0, 41, 2**40),
    "steps": (4, 28, 100),
    "guidance": (0, 2.5, 50),
    "safety": (0, 2, 6),
    "negative_prompt": ("no people",),
    "max_cost_usd": ("0.02", "0.05", "0.16", "2.00"),
    "deadline_s": (5, 12.5, 60, 900),
    "strict": (True, False),
    "mask": ("https://pictures.test/1500x1000",),
    "metadata": ({"user": "ada"}, {"user": "grace"}, {"campaign": "spring"}),
}


def request(chance: random.Random) -> dict[str, Any]:
    chosen = {field: chance.choice(values) for field, values in CHOICES.items() if chance.random() < 0.2}
    if chance.random() < 0.3:
        chosen["models"] = chance.sample(OFFERS, chance.randint(1, 4))
    sizes = chance.choice((["1500x1000"], ["1500x1000"], ["480x640"], ["1500x1000", "640x480"]))
    if "mask" in chosen:
        sizes = ["1500x1000"]
    images = [f"https://pictures.test/{size}" for size in sizes]
    return {"prompt": f"Make it {chance.random()}", "images": images, **chosen}


async def test_a_quote_is_what_the_edit_does_for_a_thousand_random_requests(counter: Counter) -> None:
    chance, keys = random.Random(4), [counter.key("growth"), counter.key("narrow")]
    firsts: Counts[str | None] = Counts()
    for _ in range(REQUESTS):
        await counter.live(chance)  # and no moment passes between a quote and its edit
        asked, key, idempotency_key = request(chance), chance.choice(keys), chance.choice((None, str(chance.random())))
        quoted = await counter.quoted(asked, key, idempotency_key)
        assert await counter.done(asked, key, idempotency_key) == quoted, asked
        firsts[quoted.candidates[0].offer if quoted.candidates else None] += 1
    assert set(firsts) == {*OFFERS, None}, "the requests did not reach every offer"
    assert firsts[None] < REQUESTS / 2
    assert counter.stage.line.steps.count(scripts.Step.ACCEPT) == firsts.total() - firsts[None]


async def test_equals_share_the_traffic_and_the_same_request_stays_where_it_was_quoted(counter: Counter) -> None:
    key = counter.key("growth")
    asked = [{"prompt": f"Make it {number}", "images": ["https://pictures.test/9x9"]} for number in range(60)]
    firsts = [(await counter.quoted(fields, key)).candidates[0].offer for fields in asked]
    assert firsts == [(await counter.quoted(fields, key)).candidates[0].offer for fields in asked]
    assert min(firsts.count("runware/kontext-pro"), firsts.count("runflow/kontext-pro")) > 6
    keyed = {(await counter.quoted(asked[0], key, str(number))).candidates[0].offer for number in range(20)}
    assert len(keyed) == 2, "one request under many keys spreads too"


async def test_the_floor_is_the_policys_of_the_minute(counter: Counter) -> None:
    key = counter.key("growth")
    fields = {"prompt": "Make it blue", "images": ["https://pictures.test/9x9"]}
    tiers: dict[str, str] = {}
    clock = counter.stage.clock
    clock.forward(86400 - clock.now_ms() / 1000 % 86400)  # to midnight
    for minute in ("00:00", "05:59", "06:00", "19:59", "20:00", "23:59"):
        seconds = (int(minute[:2]) * 60 + int(minute[3:])) * 60
        clock.forward(seconds - clock.now_ms() / 1000 % 86400)
        tiers[minute] = (await counter.done({**fields, "prompt": f"At {minute}"}, key)).tier.value
    assert tiers == {
        "00:00": "draft",
        "05:59": "draft",
        "06:00": "standard",
        "19:59": "standard",
        "20:00": "draft",
        "23:59": "draft",
    }
    assert (await counter.quoted({**fields, "tier": "premium"}, key)).tier is Tier.PREMIUM


async def test_what_is_left_of_the_budget_chooses_as_soon_as_it_is_held(counter: Counter) -> None:
    key, fields = counter.key("purse"), {"prompt": "Make it blue", "images": ["https://pictures.test/9x9"]}
    assert (await counter.quoted(fields, key)).tier is Tier.STANDARD
    assert (await counter.done(fields, key)).order == ("fastest",)  # and 8 of its 10 cents are held
    thrifty = await counter.quoted(fields, key)
    assert (thrifty.tier, thrifty.order) == (Tier.PREVIEW, ("cheapest",))
    assert (await counter.quoted(fields, counter.key("growth"))).tier is Tier.STANDARD, "of its own budget alone"


async def test_edits_of_one_user_stay_together(counter: Counter) -> None:
    async def first(user: str, number: int) -> str:
        fields = {"prompt": f"Make it {number}", "images": ["https://pictures.test/9x9"], "metadata": {"user": user}}
        return (await counter.quoted({**fields, "policy": "canary"}, counter.key("growth"))).candidates[0].offer

    homes = {user: {await first(user, number) for number in range(5)} for user in map(str, range(30))}
    assert {len(offers) for offers in homes.values()} == {1}
    assert len(set.union(*homes.values())) == 3

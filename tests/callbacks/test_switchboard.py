"""A call reaches the replica that follows the attempt, whichever answered it."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from adapters.contract import HttpReply
from adapters.runflow import Runflow
from adapters.runware import Runware
from gateway.api.switchboard import MOST_CALLS, Switchboard
from gateway.clock import SystemClock
from gateway.configuration import SettingsError, load
from gateway.engine.callbacks import Addresses, Callback, Callbacks
from gateway.observe import Metrics
from gateway.secret import Secret
from gateway.settings import Provider, Settings
from gateway.state import keys
from gateway.state.feed import Feed
from gateway.state.records import AttemptState
from tests.end_to_end.stage import eventually, today
from tests.state.samples import attempt, edit_record

EDIT = edit_record().id
NEW, OLD = Secret("new"), Secret("old")
BODY = '{"a": "ä"}'.encode()
# printf '{"a": "ä"}' | openssl dgst -sha256 -hmac whsec_a
SIGNATURE = "bf061d8934348ba141fedb4a0b69a77bc54c21eac0bdd32af31c81440e4ec390"


class Heard(Callbacks):
    def __init__(self) -> None:
        super().__init__()
        self.all: list[Callback] = []

    def hear(self, callback: Callback) -> None:
        self.all.append(callback)


def provider(name: str, *secrets: str) -> Provider:
    adapter = Runflow() if name == "runflow" else Runware()
    return Provider(
        name=name, adapter=adapter, base_url="https://x.test", key=None, result_hosts=(), max_concurrency=1,
        timeout_s=1.0, offers=(), callbacks=True, callback_secrets=tuple(map(Secret, secrets)),
    )  # fmt: skip


def settings(tmp_path: Path, server: str = '[server]\npublic_url = "https://gw.test"', more: str = "") -> Settings:
    path = tmp_path / "kontext.toml"
    path.write_text(f'{server}\n[providers.runware]\napi_key = "env:KEY"\ncallbacks = true\n{more}')
    return load(path, {"KEY": "runware-key", "SECRET": "whsec_a"}, today())


def switchboard(store: Redis, replica: str, heard: Heard) -> tuple[Switchboard, Feed]:
    feed = Feed(store, replica, SystemClock(), block_ms=50)
    return Switchboard(Addresses((NEW,)), heard, feed, replica, Metrics("test", "test")), feed


async def test_a_call_at_any_replica_is_heard_by_the_owner_alone(store: Redis) -> None:
    mine, theirs = Heard(), Heard()
    here, _ = switchboard(store, "a", mine)
    there, feed = switchboard(store, "b", theirs)
    cancelled: list[str] = []
    record = replace(edit_record(), owner="b", attempts=(attempt(state=AttemptState.ACCEPTED),))
    said = HttpReply(200, {}, b'{"event": "run.completed"}')
    async with feed.running(cancelled.append, there.passed_on):
        await here.connect(Callback(EDIT, 1), record, provider("runware"), said)
        await eventually(lambda: asyncio.sleep(0, bool(theirs.all)))
    await here.connect(Callback(EDIT, 1), replace(record, owner="a"), provider("runware"), said)
    assert (theirs.all, mine.all, cancelled) == ([Callback(EDIT, 1)], [Callback(EDIT, 1)], [])


class AwayAtFirst(Redis):
    """The first line that is asked for is not given: the store went away a moment after the start."""

    asked = 0

    def client(self) -> Redis:
        type(self).asked += 1
        return Redis(port=1, single_connection_client=True) if self.asked == 1 else super().client()


async def test_a_store_that_is_away_at_the_first_word_ends_no_listening(store: Redis) -> None:
    feed = Feed(AwayAtFirst(connection_pool=store.connection_pool), "b", SystemClock(), block_ms=50)
    cancelled: list[str] = []
    async with feed.running(cancelled.append):
        await store.xadd(keys.CALLS + "b", {"for": EDIT})
        await eventually(lambda: asyncio.sleep(0, bool(cancelled)))
    assert (cancelled, AwayAtFirst.asked) == ([EDIT], 2)


async def test_what_is_signed_travels_whole(store: Redis) -> None:
    theirs = Heard()
    here, _ = switchboard(store, "a", Heard())
    there, feed = switchboard(store, "b", theirs)
    record = replace(edit_record(), owner="b", attempts=(attempt(state=AttemptState.ACCEPTED),))
    said = HttpReply(200, {"runflow-signature": SIGNATURE}, BODY)
    async with feed.running(lambda _: None, there.passed_on):
        await here.connect(Callback(EDIT, 1), record, provider("runflow", "whsec_b", "whsec_a"), said)
        await eventually(lambda: asyncio.sleep(0, bool(theirs.all)))
    assert theirs.all == [Callback(EDIT, 1, said)]


@pytest.mark.parametrize("state", [AttemptState.SETTLED, AttemptState.RELEASED, AttemptState.UNRESOLVED])
async def test_a_call_for_what_is_over_goes_nowhere(store: Redis, state: AttemptState) -> None:
    heard = Heard()
    here, _ = switchboard(store, "a", heard)
    record = replace(edit_record(), owner="a", attempts=(attempt(state=state),))
    for number in (1, 2):
        await here.connect(Callback(EDIT, number), record, provider("runware"), HttpReply(200, {}, b""))
    assert heard.all == []


async def test_who_calls_without_end_is_heeded_no_more(store: Redis) -> None:
    here, _ = switchboard(store, "a", Heard())
    assert [here.is_heeded("one") for _ in range(MOST_CALLS + 1)] == [True] * MOST_CALLS + [False]
    assert here.is_heeded("another")


def test_an_address_is_known_by_any_of_our_secrets_and_for_its_provider_alone(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    before, after, strangers = Addresses((OLD,)), Addresses((NEW, OLD)), Addresses((NEW,))
    url = before.of(configured, configured.providers["runware"], EDIT, 2)
    assert url is not None
    root, _, token = url.rpartition("/")
    assert root == "https://gw.test/callbacks/runware"
    assert before.read("runware", token) == after.read("runware", token) == Callback(EDIT, 2)
    assert strangers.read("runware", token) is None
    assert before.read("runflow", token) is None
    assert Addresses().read("runware", token) is None
    assert Addresses().of(configured, configured.providers["runware"], EDIT, 2) is None


def test_callbacks_want_a_public_address_and_a_provider_that_calls(tmp_path: Path) -> None:
    assert settings(tmp_path).providers["runware"].callbacks
    with pytest.raises(SettingsError, match=r"providers\.runware\.callbacks: .*public_url"):
        settings(tmp_path, server="")
    local = '[providers.gpu]\nadapter = "openai_images"\nbase_url = "http://gpu:8000/v1"\ncallbacks = true'
    with pytest.raises(SettingsError, match=r"providers\.gpu\.callbacks: .*call nobody back"):
        settings(tmp_path, more=local)
    secret = 'callback_secrets = ["env:SECRET"]'
    assert "whsec_a" in settings(tmp_path, more=secret).secret_texts
    with pytest.raises(SettingsError, match=r"providers\.runware\.callback_secrets\[0\]"):
        settings(tmp_path, more='callback_secrets = ["whsec_literal"]')

"""The client against a gateway over real sockets, sync and async alike."""

import io
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image as Pillow

from gateway.client import (
    AlreadyEndedError,
    AsyncKontext,
    EditCancelledError,
    FailedError,
    InvalidError,
    KontextError,
    NoOfferError,
    NotFoundError,
    OverBudgetError,
    ProblemError,
    RefusedError,
    StillRunningError,
    UnauthorizedError,
    UnreachableError,
    UnresolvedError,
)
from tests.client.callers import DRIVERS, Caller, prompt
from tests.end_to_end.stage import KEY, PHOTO, PHOTO_URI, POOR_KEY, PURSE_KEY, READ_KEY, Stage, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session", params=DRIVERS)
async def caller(stage: Stage, request: pytest.FixtureRequest) -> AsyncGenerator[Caller]:
    async with Caller(request.param, stage.url) as made:
        yield made


def _path(folder: Path) -> Any:
    (folder / "photo.jpg").write_bytes(PHOTO)
    return folder / "photo.jpg"


PICTURES: dict[str, Callable[[Path], Any]] = {
    "a path": _path,
    "a path as text": lambda folder: str(_path(folder)),
    "bytes": lambda _: PHOTO,
    "a file": lambda _: io.BytesIO(PHOTO),
    "a data URI": lambda _: PHOTO_URI,
    "one in a list": lambda _: [PHOTO],
}


@pytest.mark.parametrize("how", PICTURES)
async def test_an_edit_of_a_picture_from_anywhere(caller: Caller, stage: Stage, tmp_path: Path, how: str) -> None:
    edit = await caller("edit", prompt(), PICTURES[how](tmp_path), metadata={"how": how}, output={"format": "webp"})
    assert (edit.status, edit.provider, str(edit.cost.usd), edit.metadata) == (
        "succeeded", "runware", "0.040000", {"how": how},
    )  # fmt: skip
    path = await caller("save", edit.images[0], tmp_path / "new" / "out.webp")
    with Pillow.open(path) as made:
        assert made.format == "WEBP"
    assert stage.billed_micro() == 40_000


async def test_a_picture_by_its_address(caller: Caller, stage: Stage) -> None:
    address = f"{stage.pictures_url}/photo.jpg"
    assert (await caller("edit", prompt(), address, policy="preview")).status == "succeeded"


async def test_a_mask_as_a_file_beside_a_picture_as_text_arrives(caller: Caller, stage: Stage) -> None:
    mask = picture(480, 320, "PNG", transparent=True)
    with pytest.raises(NoOfferError) as refused:
        await caller("edit", prompt(), PHOTO_URI, mask=mask, models=["runware/kontext-pro"])
    why = {one.offer: one.field for one in refused.value.problem.exclusions}
    assert why["runware/kontext-pro"] == "mask"


async def test_a_picture_is_uploaded_once_and_given_to_many_edits(caller: Caller, stage: Stage) -> None:
    upload = await caller("upload", PHOTO)
    assert (upload.width, upload.height) == (480, 320)
    assert (await caller("upload", f"{stage.pictures_url}/photo.jpg")).id.startswith("img_")
    assert (await caller("upload", PHOTO)).id == upload.id
    for picture_ in (upload, upload.id, [upload]):
        edit = await caller("edit", prompt(), picture_, policy="preview")
        assert (edit.status, edit.images[0].width) == ("succeeded", 480)
    of_an_edit = await caller("edit", prompt(), f"{edit.id}/0", policy="preview")
    assert of_an_edit.status == "succeeded"


async def test_an_inline_picture_is_read_without_an_address(caller: Caller, stage: Stage) -> None:
    for delivery in ("base64", "data_uri"):
        edit = await caller("edit", prompt(), PHOTO, policy="preview", output={"delivery": delivery})
        with Pillow.open(io.BytesIO(await caller("picture", edit.images[0]))) as made:
            assert made.size == (edit.images[0].width, edit.images[0].height)


async def test_an_edit_is_submitted_followed_and_waited_for(caller: Caller, stage: Stage) -> None:
    begun = await caller("submit", prompt(), PHOTO)
    assert begun.goes_on
    events = await caller("events", begun.id)
    told = [event.name for event in events if event.name != "progress"]
    assert told == ["queued", "routed", "attempt", "attempt", "picture", "final"]
    edit = await caller("wait", begun.id)
    assert (events[-1].edit, events[-2].image) == (edit, edit.images[0])
    assert await caller("events", begun.id, after=events[-1].id) == []
    assert await caller("get", begun.id) == edit


async def test_whoever_waits_is_told_of_progress(caller: Caller, stage: Stage) -> None:
    told: list[str] = []
    edit = await caller("edit", prompt(), PHOTO, on_event=lambda event: told.append(event.name))
    assert edit.status == "succeeded"
    assert told[0] == "queued"
    assert told[-1] == "final"


async def test_a_key_that_is_sent_again_joins_its_edit(caller: Caller, stage: Stage) -> None:
    words = (prompt(), PHOTO)
    key = words[0].replace(" ", "-")
    first = await caller("edit", *words, idempotency_key=key)
    assert (await caller("edit", *words, idempotency_key=key)).id == first.id
    assert (await caller("submit", *words, idempotency_key=key)).id == first.id
    assert (await caller("edit", *words)).id != first.id
    assert stage.billed_micro() == 80_000


async def test_a_quote_says_what_an_edit_would_do(caller: Caller, stage: Stage) -> None:
    quoted = await caller("quote", prompt(), PHOTO, policy="cheapest", tier="standard")
    assert [one.offer for one in quoted.candidates] == ["runware/kontext-pro", "runware/kontext-max"]
    assert (str(quoted.worst_case_usd), quoted.affordable) == ("0.080000", True)
    assert stage.billed() == []


async def test_a_running_edit_is_cancelled_and_says_what_it_costs(caller: Caller, stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=1.0)
    begun = await caller("submit", prompt(), PHOTO)
    async with AsyncKontext(stage.url, KEY) as watching, aclosing(watching.events(begun.id)) as events:
        async for event in events:
            if event.name == "attempt":
                break
    assert (await caller("cancel", begun.id)).cancel_requested
    with pytest.raises(EditCancelledError) as cancelled:
        await caller("wait", begun.id)
    assert cancelled.value.edit
    assert str(cancelled.value.edit.cost.usd) == "0.040000"
    assert (await caller("cancel", begun.id)).status == "cancelled"
    done = await caller("edit", prompt(), PHOTO, policy="preview")
    with pytest.raises(AlreadyEndedError):
        await caller("cancel", done.id)


async def test_an_ended_edit_is_erased_and_one_that_goes_on_is_not(caller: Caller, stage: Stage) -> None:
    done = await caller("edit", prompt(), PHOTO)
    for _ in range(2):
        erased = await caller("erase", done.id)
        assert (erased.id, erased.status, erased.content) == (done.id, "succeeded", "erased")
    with pytest.raises(ProblemError, match="erased"):
        await caller("picture", done.images[0])
    stage.rehearsal.faults.add("runware", "slow", seconds=1.0)
    begun = await caller("submit", prompt(), PHOTO)
    with pytest.raises(ProblemError, match="its content"):
        await caller("erase", begun.id)
    await caller("wait", begun.id)


async def test_a_wait_that_is_over_names_the_edit_that_goes_on(caller: Caller, stage: Stage) -> None:
    stage.rehearsal.faults.add("runware", "slow", seconds=1.0)
    begun = await caller("submit", prompt(), PHOTO)
    with pytest.raises(StillRunningError) as over:
        await caller("wait", begun.id, timeout_s=0)
    assert over.value.edit.id == begun.id
    assert (await caller("wait", begun.id)).status == "succeeded"


async def test_a_list_is_fetched_page_by_page(caller: Caller, stage: Stage) -> None:
    tag = prompt()
    begun = [
        await caller("submit", f"{tag} {number}", PHOTO, policy="preview", metadata={"batch": tag})
        for number in range(3)
    ]
    listed = await caller("list", tags={"batch": tag})
    assert [edit.id for edit in listed] == [edit.id for edit in reversed(begun)]
    assert await caller("list", tags={"batch": tag}, status=["refused"]) == []


async def test_models_and_spending_are_typed(caller: Caller, stage: Stage) -> None:
    models = {model.id: model for model in await caller("models")}
    assert models["runware/kontext-pro"].prices[-1].usd > 0
    assert models["local/preview"].billed is False
    await caller("edit", prompt(), PHOTO, policy="preview")
    lines = await caller("usage", by=["team", "tier"])
    assert all(set(line.group) == {"team", "tier"} for line in lines)


# the script for the primary, the fields -> what is raised
ENDS: dict[str, tuple[str | None, dict[str, Any], type[KontextError]]] = {
    "a wrong field": (None, {"size": "huge"}, InvalidError),
    "a field of a newer gateway": (None, {"extra": {"colour": "blue"}}, InvalidError),
    "a price that nothing meets": (None, {"max_cost_usd": "0.01"}, NoOfferError),
    "content that is refused": ("moderated_on_submit", {}, RefusedError),
    "every provider down": ("down", {"models": ["runware/kontext-pro"], "deadline_s": 2}, FailedError),
    "an answer that nobody can find": ("reset_before_accept", {"policy": "runflow"}, UnresolvedError),
}


@pytest.mark.parametrize("what", ENDS)
async def test_what_became_of_an_edit_is_an_error_of_its_own(caller: Caller, stage: Stage, what: str) -> None:
    fault, fields, expected = ENDS[what]
    if fault:
        stage.rehearsal.faults.add(fields.get("policy", "runware"), fault)
    with pytest.raises(expected) as raised:
        await caller("edit", prompt(), PHOTO, **fields)
    assert type(raised.value) is expected
    edit = raised.value.edit  # type: ignore[attr-defined]  # every class of the table has one
    assert (edit is not None) == (fault is not None)
    if edit is None:
        return
    with pytest.raises(expected) as again:
        await caller("wait", edit.id)
    assert str(again.value) == str(raised.value)
    assert (await caller("get", edit.id)).error is not None


async def test_who_may_not_and_who_cannot_pay(stage: Stage) -> None:
    asked: list[tuple[str, type[KontextError]]] = [
        ("kx_wrong", UnauthorizedError),
        (READ_KEY, UnauthorizedError),
        (POOR_KEY, OverBudgetError),
    ]
    for key, expected in asked:
        async with Caller("async", stage.url, key) as caller:
            with pytest.raises(expected):
                await caller("edit", prompt(), PHOTO, models=["runware/kontext-max"])


async def test_whose_budget_is_too_small_is_told(stage: Stage) -> None:
    async with Caller("async", stage.url, PURSE_KEY) as caller:
        with pytest.raises(OverBudgetError) as over:
            await caller("edit", prompt(), PHOTO, n=4)
    assert (over.value.problem.scope, str(over.value.problem.cap_usd)) == ("team", "0.120000")


async def test_what_is_not_there_and_who_is_not_there(caller: Caller, stage: Stage) -> None:
    with pytest.raises(NotFoundError):
        await caller("get", "edit_none")
    async with Caller("async", stage.closed_url, KEY) as nobody:
        with pytest.raises(UnreachableError) as lost:
            await nobody("edit", prompt(), PHOTO, idempotency_key="mine")
    assert lost.value.idempotency_key == "mine"
    assert len(nobody.pauses) == 6


async def test_a_file_that_is_not_there_is_told_before_anything_is_sent(caller: Caller, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await caller("edit", prompt(), tmp_path / "none.png")

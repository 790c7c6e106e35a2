"""Any history that the store's steps allow, drawn by Hypothesis: edits of several teams, interleaved, over days."""

from hypothesis import strategies as st

from tests.ledger.histories import MAX, PRO, History, Telling

PRICES = st.sampled_from([0, 1, 39_999, 40_000, 80_000])


@st.composite
def histories(draw: st.DrawFn, most: int = 25) -> History:
    history = History()
    for _ in range(draw(st.integers(0, most))):
        told = draw(st.sampled_from([None, *history.edits]))
        history.now_ms += draw(st.sampled_from([0, 0, 0, 5 * 3600 * 1000]))
        if told is None:
            team = draw(st.sampled_from(["growth", "studio"]))
            key_hash = f"hash-{len(history.edits)}" if draw(st.booleans()) else None
            history.edit(team, draw(st.sampled_from(["ci", "web"]))).accept(draw(PRICES), key_hash=key_hash)
        else:
            _step(draw, told)
    return history


def _step(draw: st.DrawFn, told: Telling) -> None:
    unknown = [one.number for one in told.tries if one.state == "unresolved"]
    ended = [one.number for one in told.tries if one.state in ("settled", "released")]
    cost = draw(st.one_of(st.none(), PRICES))
    if told.status is None and told.open_try:
        state, failure = draw(st.sampled_from([
            ("settled", None), ("settled", "bad_picture"), ("released", "busy"), ("unresolved", None),
        ]))  # fmt: skip
        told.close(state, cost if state == "settled" else None, failure=failure)
        if failure is None:
            told.finish("succeeded" if state == "settled" else "unresolved")
    elif told.status is None and len(told.tries) < 3 and draw(st.booleans()):
        told.open(draw(PRICES), draw(st.sampled_from([PRO, MAX])))
    elif told.status is None:
        told.finish(draw(st.sampled_from(["failed", "refused"])))
    elif unknown:
        told.resolve(unknown[0], draw(st.sampled_from(["settled", "released"])), cost)
    elif ended and told.tries[ended[0] - 1].state == "settled":
        told.correct(ended[0], draw(st.sampled_from([-1, 1, 40_000])) if told.tries[ended[0] - 1].cost else 1)

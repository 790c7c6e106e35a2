from typing import Any

import pytest
from offers_on_sale import PRO

from policies.circuit import CLOSED, Event, State, step
from policies.facts import LEAST_WEIGHT, MOST_DRIFT, USUAL_SPREAD, OfferFacts, measured, p95_s
from policies.sketch import GROWTH, HALF_LIFE_S, Result, Sample, Sketch, observed


def sketched(count: int, **fields) -> Sketch:
    sketch = Sketch()
    for _ in range(count):
        given: dict[str, Any] = {"result": Result.SUCCEEDED, "seconds": 20.0, "accepted_s": 1.0} | fields
        sketch = observed(sketch, Sample(**given), 0)
    return sketch


def test_times_are_believed_when_enough_were_seen_and_while_they_are_fresh():
    assert measured(sketched(2), 0).usual_s is None
    known = measured(sketched(10), 0)
    assert known.usual_s == pytest.approx(20, rel=GROWTH - 1)
    assert known.accept_s == pytest.approx(1, rel=GROWTH - 1)
    assert measured(sketched(10), HALF_LIFE_S * 2).usual_s is None
    assert LEAST_WEIGHT > 10 / 4


def test_without_measurement_the_catalogue_and_its_spread_are_believed():
    assert p95_s(PRO, OfferFacts()) == PRO.usual_s * USUAL_SPREAD
    assert p95_s(PRO, OfferFacts(usual_s=5)) == 5 * USUAL_SPREAD
    assert p95_s(PRO, OfferFacts(usual_s=5, p95_s=50)) == 50


def test_the_worse_of_offer_and_account_decides():
    opened = CLOSED
    for _ in range(5):
        opened = step(opened, Event.FAILED, 0)
    empty = step(CLOSED, Event.CREDIT, 0)
    known = measured(Sketch(), 1, circuit=opened, account=empty)
    assert (known.healthy, known.circuit, known.sick_s) == (False, State.NO_CREDIT, 59)
    assert measured(Sketch(), 1, circuit=opened).circuit is State.OPEN
    assert measured(Sketch(), 40, circuit=opened).healthy


def test_an_absurd_bill_does_not_rule_the_ranking():
    assert measured(sketched(5, quoted_micro=1, charged_micro=1_000), 0).drift == MOST_DRIFT

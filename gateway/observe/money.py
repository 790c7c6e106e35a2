"""Dollars in metrics: counted in integers, and a float only while they are scraped."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from gateway.money import MICRO


class Money(Collector):
    """A counter of dollars that adds up integers."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...]) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._micro: Counter[tuple[str, ...]] = Counter()

    def add(self, micro: int, *labels: str) -> None:
        """`micro` is 0 or more; 0 lets the series begin, so that its first increase is seen."""
        self._micro[labels] += micro

    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, micro in self._micro.items():
            family.add_metric(labels, micro / MICRO)
        yield family

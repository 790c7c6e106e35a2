"""Labels are what a configuration names, and follow it when it is read again."""

from pathlib import Path

from gateway.observe import Metrics
from gateway.observe.zeroes import close_labels
from gateway.settings import Settings
from tests.engine_path.stage import configured


def series(metrics: Metrics) -> str:
    return metrics.render("")[0].decode()


def labelled(metrics: Metrics, settings: Settings, *left_out: str) -> None:
    offers = {name: offer for name, offer in settings.offers.items() if name not in left_out}
    close_labels(metrics, offers, settings.policies)
    for name, offer in offers.items():
        metrics.available.labels(name, offer.tier.value).set(1)


def test_an_offer_that_a_reload_took_away_is_not_shown_as_it_last_was(tmp_path: Path) -> None:
    metrics, settings = Metrics("test", "test"), configured(tmp_path)
    gone = 'kontext_offer_available{offer="runware/kontext-pro"'
    labelled(metrics, settings)
    assert gone in series(metrics)
    labelled(metrics, settings, "runware/kontext-pro")
    assert gone not in series(metrics)


def test_a_name_that_no_configuration_has_is_other(tmp_path: Path) -> None:
    metrics, settings = Metrics("test", "test"), configured(tmp_path)
    close_labels(metrics, settings.offers, settings.policies)
    assert metrics.known.offer("runware/kontext-pro") == "runware/kontext-pro"
    assert metrics.known.offer("<script>") == "other"
    assert metrics.known.policy("<script>") == ("other" if settings.policies else "<script>")


def test_what_is_counted_begins_at_zero(tmp_path: Path) -> None:
    metrics, settings = Metrics("test", "test"), configured(tmp_path)
    close_labels(metrics, settings.offers, settings.policies)
    zero = 'kontext_wasted_cost_usd_total{offer="runware/kontext-pro",reason="bad_picture"} 0.0'
    assert zero in series(metrics)

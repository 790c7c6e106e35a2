"""One provider's own dials: names, ranges and rules as its page has them, and the pictures inside them."""

import msgspec
import pytest

from adapters.options import SCHEDULERS, IpAdapter, Options, RunwareOptions


def decode(text: str) -> Options:
    return msgspec.json.decode(text, type=Options)


def runware(inner: str) -> str:
    return f'{{"runware":{{{inner}}}}}'


LEAST_AND_MOST = [
    ("lora", '[{"model":"a:1@1","weight":%s}]', -4, 4),
    ("ipAdapters", '[{"model":"a:1@1","guideImages":["x"],"weight":%s}]', -4, 4),
    ("ipAdapters", '[{"model":"a:1@1","guideImages":["x"],"weightComposition":%s}]', 0, 1),
    ("acceleratorOptions", '{"teaCacheDistance":%s}', 0, 1),
    ("acceleratorOptions", '{"fbCacheThreshold":%s}', 0, 1),
    ("acceleratorOptions", '{"dbCacheThreshold":%s}', 0, 1),
    ("acceleratorOptions", '{"dbCacheSkipInterval":%s}', 1, None),
    ("acceleratorOptions", '{"cacheStartStep":%s}', 0, None),
    ("acceleratorOptions", '{"cacheEndStep":%s}', 1, None),
    ("acceleratorOptions", '{"cacheStartStepPercentage":%s}', 0, 99),
    ("acceleratorOptions", '{"cacheEndStepPercentage":%s}', 1, 100),
    ("acceleratorOptions", '{"cacheMaxConsecutiveSteps":%s}', 1, 5),
    ("ultralytics", '{"CFGScale":%s}', 0, 50),
    ("ultralytics", '{"confidence":%s}', 0, 1),
    ("ultralytics", '{"maskBlur":%s}', 0, 100),
    ("ultralytics", '{"maskPadding":%s}', 0, 20),
    ("ultralytics", '{"steps":%s}', 1, 100),
    ("ultralytics", '{"strength":%s}', 0, 1),
]  # fmt: skip


@pytest.mark.parametrize(("dial", "form", "least", "most"), LEAST_AND_MOST)
def test_ranges_include_both_ends_and_nothing_beyond(dial, form, least, most):
    for value in (least, most):
        if value is not None:
            assert decode(runware(f'"{dial}":{form % value}'))
    for value in (least - 1, most + 1 if most is not None else None):
        if value is not None:
            with pytest.raises(msgspec.ValidationError, match=rf"\$\.runware\.{dial}"):
                decode(runware(f'"{dial}":{form % value}'))


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ('"scheduler":"Fast"', "75 names, such as Default"),
        ('"acceleratorOptions":{"cacheStartStep":4,"cacheEndStep":4}', r"cacheEndStep \(4\) must be greater"),
        (
            '"acceleratorOptions":{"cacheStartStepPercentage":50,"cacheEndStepPercentage":40}',
            r"cacheEndStepPercentage \(40\) must be greater",
        ),
        ('"acceleratorOptions":{"cacheEndStep":4,"cacheEndStepPercentage":40}', "send one of them"),
        ('"acceleratorOptions":{"cacheStartStep":0,"cacheStartStepPercentage":0}', "send one of them"),
        ('"lora":[]', "length >= 1"),
        ('"lora":[{"weight":1}]', "`model`"),
        ('"lora":[{"model":"a:1@1","transformer":"middle"}]', "transformer"),
        ('"ipAdapters":[{"model":"a:1@1","guideImages":[]}]', "length >= 1"),
        ('"ipAdapters":[{"model":"a:1@1","guideImages":["x"],"weightType":"soft"}]', "weightType"),
        ('"safety":{"mode":"full"}', "mode"),
        ('"safety":{"checkContent":true}', "unknown field `checkContent`"),
        ('"true_cfg_scale":1', "unknown field `true_cfg_scale`"),
    ],
)
def test_a_wrong_option_says_what_is_expected(inner, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        decode(runware(inner))


def test_schedulers_are_known_in_any_case_and_sent_as_given():
    assert len(SCHEDULERS) == len({name.casefold() for name in SCHEDULERS}) == 75
    for name in (*SCHEDULERS, "default", "EULER A"):
        assert RunwareOptions(scheduler=name).scheduler == name


@pytest.mark.parametrize("preset", ["square_hd", "portrait_16_9", "landscape_4_3"])
def test_runflow_presets(preset):
    options = decode(f'{{"runflow":{{"aspect_ratio":"{preset}","sync_mode":false}}}}')
    assert options.runflow is not None
    assert options.runflow.aspect_ratio == preset
    with pytest.raises(msgspec.ValidationError, match="aspect_ratio"):
        decode('{"runflow":{"aspect_ratio":"3:2"}}')


def test_pictures_inside_options_are_named_and_replaced_in_order():
    adapters = tuple(IpAdapter(model="a:1@1", guide_images=images) for images in (("u1", "u2"), ("u1",)))
    options = Options(runware=RunwareOptions(scheduler="Euler", ip_adapters=adapters))
    assert options.pictures() == ("u1", "u2", "u1")
    replaced = options.with_pictures({"u1": "d1", "u2": "d2"})
    assert replaced.pictures() == ("d1", "d2", "d1")
    assert replaced.runware is not None
    assert replaced.runware.scheduler == "Euler"
    assert options.pictures() == ("u1", "u2", "u1"), "options are values"
    with pytest.raises(KeyError):
        options.with_pictures({"u1": "d1"})


def test_options_without_pictures_stay_as_they_are():
    for options in (Options(), Options(runware=RunwareOptions(scheduler="Euler"))):
        assert options.pictures() == ()
        assert options.with_pictures({}) == options

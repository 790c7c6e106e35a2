"""The URL rules: what is taken, in which normal form, and the tricks that parsers read differently."""

import pytest

from gateway.egress.errors import Reason, Refused
from gateway.egress.profiles import INPUT, PROVIDER, RESULT, Profile, Rule, named_hosts
from gateway.egress.targets import literal, parse_authority, parse_url

TAKEN = {
    "https://files.example/mug.png": "https://files.example/mug.png",
    "HTTPS://Files.EXAMPLE:443": "https://files.example/",
    "http://files.example:80/a?b=c#d": "http://files.example/a?b=c",
    "https://files.example?x=1": "https://files.example/?x=1",
    "https://files.example:8443/a": "https://files.example:8443/a",
    "https://files.example/a%2Fb?sig=%2B%2f==&x=a+b": "https://files.example/a%2Fb?sig=%2B%2f==&x=a+b",
    "https://files.example/größe.png?q=ü": "https://files.example/gr%C3%B6%C3%9Fe.png?q=%C3%BC",
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "http://1.2.3.4/": "http://1.2.3.4/",
    "http://[2606:4700::1111]/": "http://[2606:4700::1111]/",
    "http://[::FFFF:127.0.0.1]/": "http://[::ffff:127.0.0.1]/",  # an address like any other: judged, and refused, later
    "http://gpu_box:8000/v1": "http://gpu_box:8000/v1",
}

TRICKS = {
    "": Reason.URL,
    "/etc/passwd": Reason.URL,
    "//files.example/": Reason.URL,
    "https:files.example": Reason.URL,
    "https:/files.example": Reason.URL,
    " https://files.example/": Reason.URL,
    "https://files.example/a b": Reason.URL,
    "https://files.example/\t": Reason.URL,
    "https://files\t.example/": Reason.URL,
    "https://files.example/\r\nHost: x": Reason.URL,
    "https://files.example\\@127.0.0.1/": Reason.URL,
    "https://files.example/\x00": Reason.URL,
    "https://files.example/\u00a0": Reason.URL,
    "https://files.example/" + "a" * 8000: Reason.URL,
    "ftp://files.example/": Reason.SCHEME,
    "file:///etc/passwd": Reason.SCHEME,
    "gopher://127.0.0.1:6379/": Reason.SCHEME,
    "https://user@files.example/": Reason.USERINFO,
    "https://user:secret@files.example/": Reason.USERINFO,
    "https://files.example:80@127.0.0.1/": Reason.USERINFO,
    "https:///path": Reason.HOST,
    "https://files%2eexample/": Reason.HOST,
    "https://127.0.0.1%23.files.example/": Reason.HOST,
    "https://files.example:0x50/": Reason.HOST,
    "https://files.example:/": Reason.HOST,
    "https://files.example:80:80/": Reason.HOST,
    "https://files..example/": Reason.HOST,
    "https://files.example./": Reason.HOST,
    "https://-files.example/": Reason.HOST,
    "https://" + "a" * 64 + ".example/": Reason.HOST,
    "https://fi$les.example/": Reason.HOST,
    "http://2130706433/": Reason.HOST,
    "http://0x7f000001/": Reason.HOST,
    "http://017700000001/": Reason.HOST,
    "http://0177.0.0.1/": Reason.HOST,
    "http://127.1/": Reason.HOST,
    "http://0x7f.1/": Reason.HOST,
    "http://1.0x7f/": Reason.HOST,
    "http://0/": Reason.HOST,
    "http://256.1.1.1/": Reason.HOST,
    "http://127.0.0.1./": Reason.HOST,
    "http://①②⑦.⓪.⓪.①/": Reason.HOST,
    "http://127。0。0。1/": Reason.HOST,
    "http://１２７.0.0.1/": Reason.HOST,
    "http://[::1/": Reason.HOST,
    "http://[fe80::1%25eth0]/": Reason.HOST,
    "http://[0:0:0:0:0:0:0:1]/": Reason.HOST,
    "http://[::ffff:7f00:1]/": Reason.HOST,
    "http://[v1.x]/": Reason.HOST,
    "http://files.example:0/": Reason.PORT,
    "http://files.example:65536/": Reason.PORT,
}


@pytest.mark.parametrize(("text", "normal"), TAKEN.items())
def test_taken_in_normal_form(text: str, normal: str) -> None:
    assert parse_url(text).url == normal
    assert parse_url(normal).url == normal


@pytest.mark.parametrize(("text", "reason"), TRICKS.items(), ids=[ascii(text)[:60] for text in TRICKS])
def test_refused(text: str, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        parse_url(text)
    assert refused.value.reason is reason


def test_a_refusal_does_not_repeat_the_query() -> None:
    with pytest.raises(Refused) as refused:
        parse_url("https://user:hunter2@files.example/?token=hunter2")
    assert "hunter2" not in str(refused.value)


def test_literals_are_told_from_names() -> None:
    assert str(literal("127.0.0.1")) == "127.0.0.1"
    assert str(literal("::1")) == "::1"
    assert literal("files.example") is None
    assert literal("files4") is None


def test_allow_hosts_in_normal_form() -> None:
    assert named_hosts(["GPU-box:8000", "[fd00::1]:80"]) == {"gpu-box:8000", "[fd00::1]:80"}
    assert parse_authority("gpu-box:8000") == "gpu-box:8000"


@pytest.mark.parametrize(
    "entry", ["gpu-box", "http://gpu-box:8000", "gpu-box:8000/v1", "", "user@gpu-box:80", "127.1:80"]
)
def test_a_bad_allow_hosts_entry_is_named_with_what_to_write(entry: str) -> None:
    with pytest.raises(ValueError, match=r"egress\.allow_hosts: .* like \"gpu-box:8000\"") as error:
        named_hosts([entry])
    assert f'"{entry}"' in str(error.value)


LISTED = RESULT.at("http://gpu-box:8000/v1", ["im.example", "cdn.example:8443"])
OPEN = RESULT.at("https://api.example/v1")

GOES: list[tuple[Profile, str, Reason | None]] = [
    (INPUT, "http://files.example/a", None),
    (INPUT, "https://files.example/a", None),
    (INPUT, "https://files.example:8443/a", Reason.PORT),
    (INPUT, "http://files.example:22/a", Reason.PORT),
    (INPUT, "http://allowed:8000/a", None),
    (INPUT, "http://allowed:8001/a", Reason.PORT),
    (OPEN, "https://anywhere.example/a", None),
    (OPEN, "http://anywhere.example/a", Reason.SCHEME),
    (OPEN, "https://anywhere.example:8443/a", Reason.PORT),
    (OPEN, "http://api.example/a", Reason.SCHEME),
    (OPEN, "http://allowed:8000/a", None),
    (LISTED, "https://im.example/a", None),
    (LISTED, "https://im.example:444/a", Reason.NOT_LISTED),
    (LISTED, "http://im.example/a", Reason.SCHEME),
    (LISTED, "https://cdn.example:8443/a", None),
    (LISTED, "https://cdn.example/a", Reason.NOT_LISTED),
    (LISTED, "https://sub.im.example/a", Reason.NOT_LISTED),
    (LISTED, "https://im.example.evil.example/a", Reason.NOT_LISTED),
    (LISTED, "http://gpu-box:8000/a", None),
    (LISTED, "http://gpu-box:8001/a", Reason.NOT_LISTED),
    (LISTED, "http://allowed:8000/a", Reason.NOT_LISTED),
    (PROVIDER.at("http://gpu-box:8000/v1"), "http://gpu-box:8000/v1/edits", None),
    (PROVIDER.at("http://gpu-box:8000/v1"), "http://gpu-box:9000/v1/edits", Reason.SCHEME),
    (PROVIDER.at("https://api.example"), "https://storage.example/put", None),
    (PROVIDER.at("embedded:preview"), "embedded:preview/v1", Reason.URL),  # a mount, not an address
]


@pytest.mark.parametrize(("profile", "url", "reason"), GOES)
def test_where_a_profile_may_go(profile: Profile, url: str, reason: Reason | None) -> None:
    rule = Rule.of(profile, frozenset({"allowed:8000"}))
    if reason is None:
        assert rule.judge(url).url == url
        return
    with pytest.raises(Refused) as refused:
        rule.judge(url)
    assert refused.value.reason is reason

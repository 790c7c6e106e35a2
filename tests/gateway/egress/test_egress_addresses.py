"""Which addresses count as public, on the edges where `ipaddress.is_global` is wrong or a cloud is inside."""

from ipaddress import ip_address

import pytest

from gateway.egress.addresses import all_public, is_public

PUBLIC = ["1.1.1.1", "8.8.8.8", "100.128.0.1", "168.63.129.17", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"]

# What `is_global` calls global and must not be reached.
GLOBAL_GAPS = [
    "224.0.0.1",
    "239.255.255.250",
    "192.0.0.192",
    "192.0.0.9",
    "192.88.99.1",
    "168.63.129.16",
    "ff02::1",
    "ff0e::1",
    "::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "2002:7f00:1::1",
    "::ffff:0:127.0.0.1",
    "fec0::1",
    "3fff::1",
    "5f00::1",
]

INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "100::1",
    "2001::1",
    "2001:20::1",
    "2001:db8::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", GLOBAL_GAPS + INSIDE)
def test_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


def test_one_bad_address_refuses_them_all() -> None:
    assert all_public(PUBLIC)
    assert not all_public([*PUBLIC, "10.0.0.1"])


def test_text_that_is_no_address_is_not_public() -> None:
    assert not all_public(["8.8.8.8", "0x7f.1"])

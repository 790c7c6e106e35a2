"""Strings that have broken somebody's program: an own list, made from rules where there is one.

Each is text, or for `ODD_BYTES` bytes that are no text. Nothing here is sent anywhere but to a gateway of the tests.
"""

# ruff: noqa: E501 - tables of texts

from collections.abc import Iterator

MARK = "naughty-7f3a"
"""In every string that would show if it were executed or put into markup unescaped."""


def _nothing() -> Iterator[str]:
    """What some languages take for nothing, true, a number or a special name."""
    yield from (
        "undefined", "undef", "null", "NULL", "(null)", "nil", "NIL", "None", "true", "false", "True", "hasOwnProperty", "then",
        "constructor", "__proto__", "prototype", "toString", "__class__", "__init__", "self", "this", "NaN", "Infinity", "-Infinity", "-0", "+0",
        "0", "1", "1.00", "$1.00", "1/2", "1E2", "1E+400", "-1", "0.0", "0..0", ".", "0,0", "1'000", "0x0", "0xffffffffffffffff", "1e1000",
        "9223372036854775808", "99999999999999999999999999", "1#IND", "1#QNAN", "INF", "\u0661\u0662\u0663", "\uff11\uff12", "\u00b2", "\u2160",
        "CON", "PRN", "AUX", "NUL", "COM1", "LPT1", "LCC ABW", "edit_", "part:0", "auto", "model", "default", "embedded:", "{kontext}:ledger",
    )  # fmt: skip


def _controls() -> Iterator[str]:
    yield from (f"a{chr(code)}b" for code in (*range(0x20), *range(0x7F, 0xA0)))
    yield from (
        "a\r\nset-cookie: " + MARK + "=1",
        "a\nx-" + MARK + ": 1",
        "a%0d%0ax-" + MARK + ":%201",
        "\r\n\r\n<p>" + MARK,
        "\x1b[31m" + MARK + "\x1b[0m",
        "\x1b]0;" + MARK + "\x07",
    )


def _unicode() -> Iterator[str]:
    """Spaces, joiners, directions, halves, heaps of marks, the ends of planes, and what changes its length by its case."""
    odd = (
        *range(0x2000, 0x2010), *range(0x2028, 0x2030), *range(0x2060, 0x2070), 0xA0, 0xAD, 0x300, 0x3A9, 0x600, 0x61C, 0x6DD, 0x70F, 0x115F, 0x1680,
        0x180E, 0x3000, 0x3164, 0xD7FF, 0xE000, 0xF8FF, 0xFDD0, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1D173,
        0x1F600, 0x1FFFF, 0x2FA1D, 0xE0001, 0xE007F, 0xE0100, 0xF0000, 0x10FFFF,
    )  # fmt: skip
    yield from (f"a{chr(code)}b" for code in odd)
    yield from (
        "\u0391\u03a9\u03b1\u03c9 \u03ac\u03ad", "\u7530\u4e2d\u3055\u3093\u306b\u3042\u3052\u3066\u4e0b\u3055\u3044", "\uc0ac\ud68c\uacfc\ud559\uc6d0", "\u0645\u064f\u0646\u064e\u0627\u0642\u064e\u0634\u064e\u0629", "\u05d1\u05b0\u05bc\u05e8\u05b5\u05d0\u05e9\u05b4\u05c1\u05d9\u05ea",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e6\U0001f1fa", "\U0001f44d\U0001f3fd", "1\ufe0f\u20e3", "\u0130I\u0131i", "\u1e9e\u00df", "\ufb03", "\u2126\u03c9", "\u0958",
        "a" + "\u0301" * 500, "\u202e" + MARK, "\u2066" + MARK + "\u2069", "\ufdfa" * 50, "\u0ccd\u0cb0\u0ccd", "\u0c1c\u0c4d\u0c1e\u200c\u0c3e", "\u5341" * 900, "\U0001f4a9" * 700,
    )  # fmt: skip


def _markup() -> Iterator[str]:
    yield from (
        f"<script>alert('{MARK}')</script>", f"<img src=x onerror=alert('{MARK}') />", f"<svg/onload=alert('{MARK}')>", f"\"><{MARK}>", f"'><{MARK}>",
        f"javascript:alert('{MARK}')", f"<!--{MARK}--!>", f"]]><{MARK}>", f"&lt;{MARK}&gt;", "&#x0;", "&nbsp;", f"{{{{{MARK}}}}}", f"${{{MARK}}}", f"#{{{MARK}}}",
        f"<%= {MARK} %>", f"{{% {MARK} %}}", f"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;{MARK}</a>",
        f"[{MARK}](javascript:1)", f"![{MARK}](file:///etc/passwd)", f"<a href=\"data:text/html,{MARK}\">", f"<style>@import '{MARK}'</style>",
    )  # fmt: skip


def _commands() -> Iterator[str]:
    """For shells, databases, stores, templates, log lines, loaders and files."""
    yield from (
        "1;DROP TABLE edits", "1'; DROP TABLE edits-- 1", "' OR 1=1 -- 1", "' OR '1'='1", "%", "_", "'", "\"", "''", "\"\"", "'\"'", "\\", "\\\\", "`", "``", ";", "--",
        "$(touch /tmp/" + MARK + ")", "`touch /tmp/" + MARK + "`", "| touch /tmp/" + MARK, "&& touch /tmp/" + MARK, "; touch /tmp/" + MARK, "--help", "-rf", "@{" + MARK + "}",
        "System('ls')", "__import__('os').system('true')", "eval('1')", "${jndi:ldap://127.0.0.1/" + MARK + "}", "${env:HOME}", "env:HOME", "file:/etc/passwd", "file:///etc/passwd",
        "%s%s%s%s%s", "%n%n%n%n", "%d", "%x%x%x%x", "%p", "%*.*s", "%(asctime)s", "{}", "{0}", "{self}", "{0.__class__}", "{!r}", "{:>999999999}", "%c%c", "%08x",
        "*1\r\n$8\r\nFLUSHALL\r\n", "\r\nFLUSHALL\r\n", "EVAL \"return 1\" 0", "redis.call('FLUSHALL')", "]] redis.call('FLUSHALL') --[[", "\" .. KEYS[1] .. \"", "{a}{b}", "a:b:c", "*", "?", "[a-z]", "a*b?",
        "../../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/passwd", "/dev/null", "~", "~root", "a/b", "a\\b", "//", "...", "./", "C:\\boot.ini", "\\\\server\\share", "%2e%2e%2f", "%00", "%25", "%", "%zz", "%u0041", "a%ff",
        "=1+1", "=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(1)", "=HYPERLINK(\"http://127.0.0.1/" + MARK + "\")", "a,b\n\"c\"", "a;b", "a\tb",
        "!!python/object:os.system", "!!binary |", "- a: b", "[a]\nb = 1", "{\"a\": 1}", "[1, 2]", "{\"a\":", "[", "{", "]", "}", "\"a\"", "0[a]", "a[]", "a[0][1]", "a.b.c", "a[b", "a]b[", "[]", ".", "..", "a..b", "[][]",
        "(a+)+$", "(", "a{1,99999}", "\\", "^$", "(?R)", "sha256:" + "0" * 64, "hmac:", "Bearer kx_all", "kx_all", "runware/kontext-pro", "policy:", "policy:policy:policy", "/", "a/", "/a", "a//b",
        "http://", "http://[", "http://a:b@c", "//a", "https://127.0.0.1:1/" + MARK, "http://a b/", "data:", "data:,", "data:;base64,", "data:image/png;base64,", "data:image/png;base64," + "A" * 999, "data:image/svg+xml;base64,PHN2Zz4=", "blob:a", "ftp://a/b", "mailto:a@b",
    )  # fmt: skip


def _long() -> Iterator[str]:
    yield from (
        "",
        " ",
        "\t",
        "a",
        " a ",
        "a" * 63,
        "a" * 64,
        "a" * 65,
        "a" * 255,
        "a" * 256,
        "a" * 512,
        "a" * 513,
        "a" * 3000,
        "a" * 3001,
        "a" * 100_000,
        "0" * 5000,
        "1" + "0" * 5000,
        "0001" + "0" * 5000,
        "[" * 5000,
        "a[" * 5000,
        "a." * 5000,
        "(" * 5000,
        "{" * 5000,
        " " * 5000,
        "\u0660" * 4500,
        "," * 5000,
        "a:" * 5000,
    )


STRINGS = tuple(dict.fromkeys((*_nothing(), *_controls(), *_unicode(), *_markup(), *_commands(), *_long())))

ODD_BYTES = tuple(
    b"a" + each
    for each in (
        b"\x80",
        b"\xff",
        b"\xc0\xaf",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xfe\xff",
        b"\xc3(",
        b"\xf8\x88\x80\x80\x80",
        b"\xe9",
    )
)
"""No text in UTF-8."""

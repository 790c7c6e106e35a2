"""JSON texts made from RFC 8259's grammar, rule by rule: those that every parser must take (`GOOD`), must refuse
(`BAD`), and those on which the RFC leaves it to the parser (`EITHER`).

The categories are those of Nicolas Seriot's "Parsing JSON is a Minefield"; the texts are our own.
"""

# ruff: noqa: E501 - tables of texts

from collections.abc import Iterator

_DIGITS = ("0", "7", "10", "123456789")
_FRACTIONS = ("", ".0", ".5", ".250")
_EXPONENTS = ("", "e0", "e1", "E2", "e+3", "E-4")
_SPACES = (" ", "\t", "\n", "\r", " \t\r\n ")
_PLAIN = '"\\/bfnrt'


def _good() -> Iterator[bytes]:
    for sign in ("", "-"):
        for number in (f"{sign}{d}{f}{e}" for d in _DIGITS for f in _FRACTIONS for e in _EXPONENTS):
            yield number.encode()
    yield from (b"true", b"false", b"null", b"{}", b"[]", b'""', b"[[]]", b'[{"a":[]}]', b"[1,2,3]", b'[null,1,"x",{}]')
    yield from (
        f'{space}{{{space}"a"{space}:{space}[{space}1{space},{space}2{space}]{space}}}{space}'.encode()
        for space in _SPACES
    )
    yield from (f'"\\{char}"'.encode() for char in _PLAIN)
    yield from (
        f'"\\u{code:04x}"'.encode()
        for code in (0, 0x1F, 0x20, 0x22, 0x5C, 0x7F, 0xFF, 0x2028, 0xD7FF, 0xE000, 0xFEFF, 0xFFFF)
    )
    yield from (f'"\\u{code:04X}"'.encode() for code in (0xABCD, 0xFFFE))
    yield from (b'"\\ud83d\\ude00"', b'"\\uD800\\uDC00"', b'"\\udbff\\udfff"')
    yield from (
        f'"{chr(code)}"'.encode() for code in (0x7F, 0x80, 0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFF, 0x10000, 0x10FFFF)
    )
    yield from (
        b'{"":0}',
        b'{"\\u0000":0}',
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":{"a":{"a":[]}}}',
        b'["' + b"x" * 4096 + b'"]',
    )
    yield b"[" * 100 + b"]" * 100


def _bad() -> Iterator[bytes]:
    yield from _bad_numbers()
    yield from _bad_words()
    yield from _bad_strings()
    yield from _bad_structures()
    yield from _bad_bytes()
    yield from _cut()


def _bad_numbers() -> Iterator[bytes]:
    """Everything next to the grammar of a number, and what other languages call one."""
    for sign in ("", "-"):
        yield from (f"{sign}{rest}".encode() for rest in (
            "01", "00", "012.5", ".5", "1.", "0.", "1.e1", "1e", "1e+", "1e-", "1E", "1ee1", "1e1.5", "1e1e1", "0x1F", "0b1", "0o7",
            "1_000", "1,000.0.0", "1..2", "1.2.3", "Inf", "Infinity", "NaN", "1n", "1L", "1f", "0x", "--1", "+-1", "1+1", "1-",
        ))  # fmt: skip
    yield from (
        b"+1",
        b"++1",
        b"-",
        b"- 1",
        b"-a",
        b"1 000",
        b"\xef\xbc\x91",
        b"\xd9\xa1",
        b"1\x00",
        b"0e",
        b"1e 1",
        b"$1",
        b"1%",
        b"'1'",
    )


def _bad_words() -> Iterator[bytes]:
    yield from (
        b"True",
        b"FALSE",
        b"Null",
        b"nul",
        b"truth",
        b"tru",
        b"fals",
        b"undefined",
        b"nil",
        b"none",
        b"nan",
        b"truefalse",
    )
    yield from (
        b"true\x00",
        b"\xc3\xa9",
        b"a",
        b"ab c",
        b"*",
        b"&",
        b"<null>",
        b"#",
        b"/",
        b"\\u0061",
        b"e1",
        b"=",
        b"@",
    )


def _bad_strings() -> Iterator[bytes]:
    yield from (b'"' + bytes((code,)) + b'"' for code in range(0x20))
    yield from (b'"\\' + bytes((code,)) + b'"' for code in range(0x21, 0x7F) if chr(code) not in _PLAIN + "u")
    yield from (
        b'"\\u' + rest + b'"'
        for rest in (b"", b"0", b"00", b"000", b"00g0", b" 000", b"+000", b"{41}", b"00\xc3\xa9", b"-001")
    )
    yield from (
        b'"\\U00000041"',
        b'"\\\x00"',
        b'"\\\n"',
        b'"\\',
        b'"\\u',
        b'"a',
        b'a"',
        b"'a'",
        b"`a`",
        b'"a"b"',
        b'"a""b"',
        b"\xe2\x80\x9ca\xe2\x80\x9d",
    )


def _bad_structures() -> Iterator[bytes]:
    yield from (
        b"[1,]", b"[,1]", b"[,]", b"[1,,2]", b"[1 2]", b"[1;2]", b"[1:2]", b"[", b"]", b"[]]", b"[[]", b"[1", b"[1,", b"[}", b"(1)",
        b"{", b"}", b"{}}", b"{{}", b'{"a"}', b'{"a":}', b'{"a" 1}', b'{"a"=1}', b'{"a",1}', b'{:1}', b'{,}', b'{"a":1,}', b'{,"a":1}',
        b'{"a":1,,"b":2}', b'{"a":1 "b":2}', b'{"a":1;"b":2}', b'{"a"::1}', b'{"a":1:2}', b"{a:1}", b"{'a':1}", b"{1:1}", b"{null:1}",
        b"{true:1}", b"{[]:1}", b'{"a":1}{', b'{"a":1]', b'["a"}', b'{"a":[}', b"[1]x", b"[1][2]", b"{}{}", b"{}[]", b"1 2", b"1,2",
        b'{"a":1}#', b"[1]//", b"/**/[1]", b"[1/**/]", b"[1]/**/", b"[1] // no", b"# no\n[1]", b"[...]", b"<!-- -->[]", b"",
        b" ", b"\n", b"\t\t", b"[\xc2\xa01]", b"[\x0b1]", b"[\x0c1]", b"\xe2\x80\x83[]", b"[1\xe2\x80\xa8]", b"[\x00]", b"\x00[]", b"[]\x00",
    )  # fmt: skip
    yield from (b"[" * 100_000, b'{"a":' * 100_000, b'[{"a":' * 50_000)


def _bad_bytes() -> Iterator[bytes]:
    """Not UTF-8: lone continuations, cut sequences, overlong forms, surrogates, what lies beyond U+10FFFF."""
    yield from (b'"' + each + b'"' for each in (
        b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xc3", b"\xc3(", b"\xe0\x80\xaf", b"\xe2\x82", b"\xe2(\xa1", b"\xed\xa0\x80",
        b"\xed\xbf\xbf", b"\xf0\x80\x80\xaf", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff",
    ))  # fmt: skip
    yield from (
        b"\xff",
        b"[\xff]",
        b"{\xe9:1}",
        b"\xfe\xff\x00[\x00]",
        b"\xff\xfe[\x00]\x00",
        b"\xff\xfe\x00\x00",
        b"\x00[\x00]",
        b"[\x00]\x00",
    )


def _cut() -> Iterator[bytes]:
    """A good text that ends too soon, at every byte."""
    whole = b'{"a":[1.5e3,true,"\\u00e9\xc3\xa9"],"b":{"c":null}}'
    yield from (whole[:length] for length in range(1, len(whole)))


def _either() -> Iterator[bytes]:
    yield from (
        b"1e400",
        b"-1e400",
        b"1e-400",
        b"123e99999",
        b"1" * 400,
        b"-" + b"9" * 400,
        b"1" * 5000,
        b"0." + b"3" * 5000,
    )
    yield from (
        b"18446744073709551616",
        b"-9223372036854775809",
        b"123456789012345678901234567890",
        b"0.1e1000000000000",
    )
    yield from (
        f'"\\u{code}"'.encode()
        for code in ("d800", "dbff", "dc00", "dfff", "d800\\u0041", "d800\\ud800", "dc00\\ud800", "d800x", "d800\\n")
    )
    yield from (
        b"\xef\xbb\xbf{}",
        b"\xef\xbb\xbf",
        b"[" * 500 + b"]" * 500,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    )


GOOD, BAD, EITHER = (tuple(dict.fromkeys(texts)) for texts in (_good(), _bad(), _either()))

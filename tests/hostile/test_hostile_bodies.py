"""Bodies, headers, paths and queries made to break a parser: each gets an answer that was meant, and never a defect.

Texts of JSON are told apart from texts that are none; naughty strings go through every place of the interface that takes
a string. What is wrong is a problem document, and what was sent comes back in no header and as nothing but JSON.
"""

# ruff: noqa: E501 - tables of texts

from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import quote_from_bytes

import msgspec
import pytest

from gateway.api.idempotency import fingerprint
from gateway.api.openai.requests import translated
from gateway.api.problems import ProblemError
from gateway.api.requests import Form, Parts, read_json
from gateway.configuration import load
from tests.hostile.door import KEY, OPERATOR_KEY, PICTURE, Answer, Door
from tests.hostile.json_texts import BAD, EITHER, GOOD
from tests.hostile.naughty import MARK, ODD_BYTES, STRINGS

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODIES = ("/v1/edits", "/v1/quotes", "/v1/images/edits")
KINDS = {"application/json", "application/problem+json", "text/event-stream"}


def assert_meant(answer: Answer, what: object) -> None:
    """No defect, a document that says what is wrong, and nothing of what was sent outside of it."""
    assert answer.status < 500, (what, answer.body[:300])
    assert answer.media_type in KINDS, (what, answer.media_type)
    if answer.status >= 400 and not answer.body.startswith(b'{"error":'):
        assert answer.media_type == "application/problem+json", what
        assert set(msgspec.json.decode(answer.body, type=dict[str, Any])) >= {
            "type",
            "title",
            "status",
            "detail",
            "retryable",
        }
    for name, value in answer.headers:
        assert MARK.encode() not in name + value, (what, name)
        assert not {10, 13, 0} & set(name + value), (what, name)


# --- JSON -------------------------------------------------------------------------------------------------------------


def inside(text: bytes) -> bytes:
    return b'{"zzz":' + text + b"}"


@pytest.mark.parametrize("path", BODIES)
async def test_json_is_told_from_what_is_none(door: Door, path: str) -> None:
    """A good text is refused for what it says (422), a bad one as none (400): alone, and as a value inside an object,
    where a field that is not known may be noticed first."""
    for text in GOOD:
        answer = await door.call("POST", path, text)
        assert_meant(answer, text[:80])
        assert b"malformed" not in answer.body, text[:80]
    for text in BAD:
        for body in (text, inside(text)):
            answer = await door.call("POST", path, body)
            assert_meant(answer, body[:80])
            assert answer.status in (400, 422), body[:80]
    for text in EITHER:
        for body in (text, inside(text), text[: len(text) // 2]):
            assert_meant(await door.call("POST", path, body), body[:80])


async def test_a_whole_document_that_is_no_json_is_malformed(door: Door) -> None:
    """Where the body is read before its fields are judged, every bad text is found to be one."""
    for text in BAD:
        answer = await door.call("POST", "/v1/images/edits", inside(text))
        assert answer.status == 400, text[:80]
        assert b'"code":"malformed"' in answer.body, text[:80]


@pytest.mark.parametrize("path", ["/admin/providers/local/drain", "/admin/keys/tests/nobody/revoke"])
async def test_an_operators_body_is_judged_like_any_other(door: Door, path: str) -> None:
    for text in (*BAD, *EITHER):
        answer = await door.call("POST", path, inside(text), key=OPERATOR_KEY)
        assert_meant(answer, text[:80])
        assert answer.status in (400, 404, 422)


@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", BODIES)
async def test_a_caller_who_goes_away_in_the_middle_is_no_defect(door: Door, path: str, media_type: str) -> None:
    answer = await door.call("POST", path, b'{"prompt": "Make', media_type=media_type, whole=False)
    assert_meant(answer, path)
    assert answer.status == 400


# --- naughty strings --------------------------------------------------------------------------------------------------

EDIT: dict[str, Any] = {"prompt": "Make it blue", "images": ["no picture at all"]}
"""Decoded, claimed and looked up, and refused for its picture: nothing is made of it."""

FIELDS = (
    "prompt", "negative_prompt", "size", "tier", "policy", "max_cost_usd", "webhook_url", "mask", "images.0", "models.0", "seed", "n", "strict", "steps",
    "output", "output.format", "output.delivery", "output.upload_url", "output.quality", "metadata", "metadata.name", "options", "options.runware", "options.nobody",
    "options.runware.scheduler", "options.runware.lora.0.model", "options.runware.ipAdapters.0.guideImages.0", "options.runware.ultralytics.positivePrompt",
    "options.runflow.aspect_ratio", "zzz",
)  # fmt: skip
OPENAI_FIELDS = (
    "model", "quality", "background", "input_fidelity", "moderation", "output_format", "response_format", "user", "safety_identifier", "images.0", "images.0.image_url",
    "images.0.file_id", "mask", "mask.image_url", "output_compression", "stream", "partial_images", "metadata", "output", "tier",
)  # fmt: skip


def placed(field: str, value: object) -> dict[str, Any]:
    """A document with nothing but `value` at `field`; a number is a place in a list."""
    for step in reversed(field.split(".")):
        value = [value] if step.isdecimal() else {step: value}
    assert isinstance(value, dict)
    return value


def a_share_of(place: int, every: int) -> tuple[str, ...]:
    """Of the strings: with its neighbours', each place gets all of them."""
    return STRINGS[place % every :: every]


def refused_at_most(read: Callable[[], object], what: object) -> None:
    """A request that is read, or refused in words; what it says can be written down."""
    try:
        read()
    except ProblemError as problem:
        assert msgspec.json.encode([problem.detail, problem.field, problem.expected]), what


async def test_every_string_in_every_field_is_taken_or_refused() -> None:
    settings = load(None, {}, date(2027, 1, 15), development_key="kx_all")
    for text in STRINGS:
        for field in FIELDS:
            body = msgspec.json.encode(EDIT | placed(field, text))
            refused_at_most(lambda body=body: fingerprint(Form(read_json(body))), (field, text[:80]))
        for field in (*FIELDS, *OPENAI_FIELDS):
            parts = Parts(EDIT | placed(field, text))
            refused_at_most(lambda parts=parts: translated(parts, settings, strict=True), (field, text[:80]))


@pytest.mark.parametrize("field", FIELDS)
async def test_no_string_in_a_field_leads_to_a_defect(door: Door, field: str) -> None:
    for text in a_share_of(FIELDS.index(field), 6):
        assert_meant(await door.post("/v1/edits", EDIT | placed(field, text)), text[:80])


@pytest.mark.parametrize("field", OPENAI_FIELDS)
async def test_no_string_in_openais_fields_leads_to_a_defect(door: Door, field: str) -> None:
    for text in a_share_of(OPENAI_FIELDS.index(field), 6):
        assert_meant(await door.post("/v1/images/edits", EDIT | placed(field, text)), text[:80])


async def test_no_string_as_a_name_leads_to_a_defect(door: Door) -> None:
    for number, text in enumerate(STRINGS):
        documents = (
            {text: text},
            {"metadata": {text: text}},
            {"output": {text: text}},
            {"options": {text: {text: text}}},
        )
        for path in ("/v1/edits", "/v1/images/edits"):
            assert_meant(await door.post(path, EDIT | documents[number % 4]), text[:80])


async def test_a_quote_takes_every_string_that_is_a_prompt(door: Door) -> None:
    """The whole way to a plan, with a real picture: what is taken is taken whole."""
    for text in STRINGS:
        answer = await door.post("/v1/quotes", {"prompt": text, "images": [PICTURE]})
        assert_meant(answer, text[:80])
        plain = not any(ord(char) < 32 and char not in "\n\r\t" for char in text)
        assert answer.status == (200 if plain and 2 <= len(text) <= 3000 else 422), text[:80]


async def test_what_an_edit_was_told_comes_back_as_it_was(door: Door) -> None:
    """Through the store, the ledger and the list: every string that metadata may hold, 16 an edit."""
    held = [text for text in STRINGS if len(text) <= 512]
    for start in range(0, len(held), 16):
        told = {f"name-{number}": text for number, text in enumerate(held[start : start + 16])}
        document = {"prompt": "Make it black and white", "images": [PICTURE], "metadata": told}
        accepted = await door.post("/v1/edits", document, headers=[(b"prefer", b"wait=20")])
        assert accepted.status == 200, accepted.body
        edit = msgspec.json.decode(accepted.body)
        again = await door.call("GET", f"/v1/edits/{edit['id']}")
        assert msgspec.json.decode(again.body)["metadata"] == told
        name, text = next(iter(told.items()))
        listed = await door.call(
            "GET", "/v1/edits", query=b"tag=" + quote_from_bytes(f"{name}:{text}".encode(), safe="").encode()
        )
        assert [each["id"] for each in msgspec.json.decode(listed.body)["data"]] == [edit["id"]]


# --- forms, headers, paths and queries --------------------------------------------------------------------------------


def form(*parts: tuple[bytes, bytes]) -> bytes:
    lines = [b'--x\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n' % part for part in parts]
    return b"".join(lines) + b"--x--\r\n"


def forms(text: bytes) -> tuple[bytes, ...]:
    good = ((b"prompt", b"Make it blue"), (b"images", b"no picture at all"))
    name = text.replace(b'"', b"%22").replace(b"\r", b"").replace(b"\n", b"")
    return (
        form(*good, (b"options", text)),
        form(*good, (b"metadata[name]", text)),
        form(*good, (name, text)),
        form(*good, (b"metadata[" + name + b"]", text)),
        form((b"prompt", text), (b"images[]", text), (b"images[]", text)),
        text,
        b"--x\r\n" + text + b"\r\n\r\n--x--\r\n",
    )


async def test_no_form_leads_to_a_defect(door: Door) -> None:
    texts = [each.encode() for each in STRINGS]
    shared = [(text, forms(text)[number % 7 :: 3]) for number, text in enumerate(texts)]
    for text, bodies in (*shared, *((text, forms(text)) for text in ODD_BYTES)):
        for number, body in enumerate(bodies):
            path = ("/v1/edits", "/v1/images/edits")[(number + len(text)) % 2]
            assert_meant(await door.call("POST", path, body, media_type="multipart/form-data; boundary=x"), body[:200])
    for text in STRINGS:
        boundary = text[:90].encode("ascii", "ignore").decode()
        media_type = f"multipart/form-data; boundary={boundary}"
        assert_meant(await door.call("POST", "/v1/edits", form((b"prompt", b"x")), media_type=media_type), text[:80])


CHARSETS = (
    "utf-16", "utf-7", "latin-1", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "zlib", "rot13", "undefined", "hex", "nobody", "mbcs", "\u00e9",
)  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/edits", "/v1/images/edits"])
async def test_text_of_a_form_is_utf_8_whatever_its_part_says(door: Door, path: str) -> None:
    """`unicode_escape` gives halves of characters, `undefined` fails by itself, `punycode` takes hours for a few MB."""
    for charset in CHARSETS:
        head = f'content-disposition: form-data; name="prompt"\r\ncontent-type: text/plain; charset={charset}'
        body = b"--x\r\n" + head.encode() + b"\r\n\r\n" + b"\\ud800-" * 10_000 + b"\r\n--x--\r\n"
        answer = await door.call("POST", path, body, media_type="multipart/form-data; boundary=x")
        assert_meant(answer, charset)
        assert answer.status in (400, 422), "the parser takes no notice of a name that Python does not know"


HEADERS = (
    b"idempotency-key", b"prefer", b"traceparent", b"tracestate", b"accept", b"accept-encoding", b"x-stainless-retry-count", b"x-stainless-read-timeout", b"last-event-id",
    b"x-forwarded-for", b"x-forwarded-proto", b"forwarded", b"range", b"if-none-match", b"cookie", b"origin", b"expect",
)  # fmt: skip
ALONE = (b"idempotency-key", b"host", b"content-type", b"content-length", b"authorization")


async def test_no_header_leads_to_a_defect(door: Door) -> None:
    """As servers hand them on: no line ends, and any other byte."""
    for number, text in enumerate((*(each.encode() for each in STRINGS), *ODD_BYTES)):
        value = bytes(byte for byte in text if byte not in (0, 10, 13))[:8000]
        together = [(name, value) for name in HEADERS]
        for path in ("/v1/edits", "/v1/images/edits"):
            assert_meant(await door.post(path, EDIT, headers=together[1:]), text[:80])
            assert_meant(await door.post(path, EDIT, headers=[(ALONE[number % 5], value)]), text[:80])
        assert (await door.call("GET", ("/v1/edits", "/v1/usage")[number % 2], headers=together)).status < 500, text[
            :80
        ]


PATHS = (
    ("GET", "/v1/edits/{}", KEY),
    ("DELETE", "/v1/edits/{}", KEY),
    ("GET", "/v1/edits/{}/events", KEY),
    ("GET", "/v1/edits/{}/images/0", KEY),
    ("GET", "/v1/edits/edit_{}/images/0", KEY),
    ("GET", "/v1/edits/edit_x/images/{}", KEY),
    ("POST", "/admin/providers/{}/drain", OPERATOR_KEY),
    ("POST", "/admin/keys/{}/{}/revoke", OPERATOR_KEY),
    ("POST", "/admin/edits/{}/attempts/1/verdict", OPERATOR_KEY),
    ("POST", "/admin/edits/edit_x/attempts/{}/verdict", OPERATOR_KEY),
    ("GET", "/{}", KEY),
)


@pytest.mark.parametrize(("method", "path", "key"), PATHS, ids=lambda value: str(value))
async def test_no_path_leads_to_a_defect(door: Door, method: str, path: str, key: str) -> None:
    bodies = {"verdict": {"verdict": "released", "note": "a test"}}
    document = bodies.get(path.rpartition("/")[2], {"note": "a test"})
    place = [path for _, path, _ in PATHS].index(path)
    for text in (*a_share_of(place, 4), *(each.decode("utf-8", "replace") for each in ODD_BYTES)):
        answer = (
            await door.post(path.replace("{}", text), document, key=key)
            if method == "POST"
            else await door.call(method, path.replace("{}", text), key=key)
        )
        assert_meant(answer, text[:80])
        assert answer.status in (400, 404, 405) or text in ("", ".", "/", "./", "//", "local"), (
            text[:80],
            answer.status,
        )


QUERIES = (
    *(("/v1/edits", name) for name in ("cursor", "limit", "status", "since", "until", "policy", "tier", "tag", "zzz")),
    *(("/v1/usage", name) for name in ("by", "from", "to", "team", "format")),
    *(("/v1/edits/edit_x/images/0", name) for name in ("expires", "signature")),
    ("/v1/models", "zzz"),
)


@pytest.mark.parametrize(("path", "name"), QUERIES, ids=lambda value: str(value))
async def test_no_query_leads_to_a_defect(door: Door, path: str, name: str) -> None:
    beside = {"expires": b"&signature=x", "signature": b"&expires=99999999999"}.get(name, b"")
    place = [name for _, name in QUERIES].index(name)
    texts = [each.encode() for each in a_share_of(place, 4)]
    for value in (
        *(quote_from_bytes(text, safe="").encode() for text in (*texts, *ODD_BYTES)),
        *ODD_BYTES,
        *texts[::5],
    ):
        answer = await door.call("GET", path, query=name.encode() + b"=" + value + beside)
        assert answer.status < 500, value[:80]
        if answer.media_type != "text/csv":
            assert_meant(answer, value[:80])

"""What callers send, as examples in the OpenAPI document; the tests send every one of them and read what comes back.

The pictures are whole: each example can be sent as it stands, to a gateway with the policy `preview`. Where it cannot,
a name below stands for the reader's own: an address, an edit.
"""

from collections.abc import Mapping

from litestar.openapi.spec import Example as DocumentedExample
from litestar.openapi.spec import OpenAPI, OpenAPIMediaType, Operation, Reference, RequestBody
from msgspec import Struct

JSON, FORM = "application/json", "multipart/form-data"

PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAUklEQVR42u3PMQ0AAAgDMKSgDa0ThgQuviY10Mr0q568KgEBAQEB"
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQGBywL/GGEtjhUHaAAAAABJRU5ErkJggg=="
)
"""64 by 64, half orange and half blue."""
MASK = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAYAAACqaXHeAAAAZElEQVR42u3QAQkAAAzDsPk3/csYgxRqIEm/Kw8AAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACsAzwufPhqkdgnAQAAAABJ"
    "RU5ErkJggg=="
)
"""Its left half is transparent: there the picture may change."""

UPLOAD = "img_fd3dcc53ecece444b447c9f92477e249"
"""What `POST /v1/images` makes of `PICTURE`, for every team."""
ADDRESS, HOOK = "https://files.example/mug.png", "https://hooks.example/kontext"
EDIT = "edit_01980000-0000-7000-8000-000000000000"


class Example(Struct, frozen=True, kw_only=True):
    """`media_type`: in a form, lists are fields of one name and objects JSON text."""

    summary: str
    value: dict[str, object]
    media_type: str = JSON


EXAMPLES: dict[tuple[str, str], dict[str, Example]] = {
    ("post", "/v1/images"): {
        "inline": Example(summary="A picture as a data URI", value={"image": PICTURE}),
        "address": Example(summary="A picture that is fetched once", value={"image": ADDRESS}),
        "result": Example(summary="What an edit delivered, kept for longer", value={"image": f"{EDIT}/0"}),
        "form": Example(summary="A form; its field may be a file", value={"image": PICTURE}, media_type=FORM),
    },
    ("post", "/v1/edits"): {
        "preview": Example(
            summary="By the preview, which costs nothing",
            value={"prompt": "Make it black and white", "images": [PICTURE], "policy": "preview"},
        ),
        "bounded": Example(
            summary="A floor, a cap and a deadline",
            value={
                "prompt": "Make the mug blue, keep everything else",
                "images": [ADDRESS],
                "size": "16:9",
                "output": {"format": "jpeg", "quality": 90},
                "tier": "standard",
                "max_cost_usd": "0.10",
                "deadline_s": 60,
                "metadata": {"campaign": "spring"},
            },
        ),
        "named": Example(
            summary="One model by name, with dials of its own, or not at all",
            value={
                "prompt": "Make the mug blue, keep everything else",
                "images": [PICTURE],
                "models": ["runware/kontext-dev"],
                "tier": "draft",
                "n": 2,
                "seed": 41,
                "steps": 28,
                "options": {"runware": {"scheduler": "Euler"}},
                "strict": True,
            },
        ),
        "masked": Example(
            summary="An upload, changed where a mask lets it be",
            value={"prompt": "Make it black and white", "images": [UPLOAD], "mask": MASK, "policy": "preview"},
        ),
        "edit_of_an_edit": Example(
            summary="On from what an edit delivered, with the picture in the answer",
            value={
                "prompt": "Blur it",
                "images": [f"{EDIT}/0"],
                "policy": "preview",
                "output": {"delivery": "base64"},
            },
        ),
        "form": Example(
            summary="A form; `images` may be files named `image`",
            value={
                "prompt": "Make it black and white",
                "images": [PICTURE],
                "policy": "preview",
                "output": {"format": "webp"},
            },
            media_type=FORM,
        ),
    },
    ("post", "/v1/quotes"): {
        "bounded": Example(
            summary="What would be done under a cap, and why",
            value={"prompt": "Make the mug blue", "images": [PICTURE], "tier": "standard", "max_cost_usd": "0.05"},
        ),
        "upload": Example(
            summary="For a picture that was uploaded",
            value={"prompt": "Make the mug blue", "images": [UPLOAD], "n": 2},
        ),
        "form": Example(
            summary="A form, as for an edit",
            value={"prompt": "Make the mug blue", "images": [PICTURE], "size": "model"},
            media_type=FORM,
        ),
    },
    ("post", "/v1/images/edits"): {
        "openai": Example(
            summary="As OpenAI's clients send it",
            value={
                "model": "gpt-image-1",
                "prompt": "Make the mug blue, keep everything else",
                "images": [{"image_url": PICTURE}],
                "size": "1024x1024",
                "quality": "medium",
                "output_format": "webp",
                "output_compression": 80,
                "user": "u-4711",
            },
        ),
        "extended": Example(
            summary="With an upload, by a policy, with fields of an edit's own",
            value={
                "model": "policy:preview",
                "prompt": "Make it black and white",
                "images": [{"file_id": UPLOAD}],
                "response_format": "url",
                "deadline_s": 60,
            },
        ),
        "form": Example(
            summary="A form; `images` may be files named `image`",
            value={"model": "policy:preview", "prompt": "Make it black and white", "images": [PICTURE]},
            media_type=FORM,
        ),
    },
    ("post", "/v1/webhooks"): {
        "all": Example(summary="Told of every edit's end", value={"url": HOOK}),
        "named": Example(summary="Told of the edits that name it", value={"url": HOOK, "receives": "named"}),
    },
}


def add_examples(document: OpenAPI) -> None:
    """To the finished document, whose bodies are there."""
    for (method, path), examples in EXAMPLES.items():
        operation: Operation = getattr((document.paths or {})[path], method)
        assert isinstance(operation.request_body, RequestBody)
        for media_type, content in operation.request_body.content.items():
            _add(content, {name: one for name, one in examples.items() if one.media_type == media_type})


def _add(content: OpenAPIMediaType, examples: Mapping[str, Example]) -> None:
    documented: dict[str, DocumentedExample | Reference] = {
        name: DocumentedExample(summary=one.summary, value=one.value) for name, one in examples.items()
    }
    content.examples = documented or None

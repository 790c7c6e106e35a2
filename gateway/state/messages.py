"""What webhooks tell of an edit's end: one message, written by the step that ends it. Ids and states, never a prompt
and no address of a picture: whoever wants more asks for the edit with a key."""

import msgspec

from gateway.identity import EDIT_PREFIX
from gateway.state import keys
from gateway.state.records import EditRecord, End

MESSAGE_PREFIX = "msg_"


def message(record: EditRecord, end: End) -> tuple[str | bytes, ...]:
    """For a step: prefix of names, message id, event, data, the endpoint that the edit names, its address there. The id
    derives from the edit and its end, so whoever writes it, and however often, it is one message."""
    identity = f"{MESSAGE_PREFIX}{record.id.removeprefix(EDIT_PREFIX)}_{end.status}"
    data = msgspec.json.encode({"object": "edit", "id": record.id, "status": end.status})
    named = record.wish.webhook
    place = ("", "") if named is None else (named.endpoint, named.url)
    return keys.WEBHOOKS, identity, f"edit.{end.status}", data, *place

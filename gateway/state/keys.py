"""The names of all that lies in the store. They share one hash tag, since one step touches several of them."""

SLOT_TAG = b"kontext"  # what a Cluster hashes of every name below
_TAG = "{kontext}"

EDIT = f"{_TAG}:edit:"  # + edit id
EVENTS = f"{_TAG}:events:"  # + edit id
CALLS = f"{_TAG}:calls:"  # + replica
CALLS_LIVE_MS = 3_600_000
UNDONE = f"{_TAG}:undone:"  # + edit id
OWNER = f"{_TAG}:owner:"  # + replica
CLAIM = f"{_TAG}:claim:"  # + replica
PERMITS = f"{_TAG}:permits:"  # + provider account
CONFIRM = f"{_TAG}:confirm"  # written before a WAIT, so that there is something to confirm
REPLICAS = f"{_TAG}:replicas"
LEDGER = f"{_TAG}:ledger"
UNRESOLVED = f"{_TAG}:unresolved"
LISTED = f"{_TAG}:listed"  # which terminal edits leave their team's list, and when
CONTENTS = f"{_TAG}:contents"  # when each edit is looked at: then its prompt may have to go
EMPTIED = f"{_TAG}:emptied"  # that a prompt went since the engine last wrote its file anew
SWEPT = f"{_TAG}:swept"  # when everything that was due had been deleted
PICTURES = f"{_TAG}:pictures"  # when each kept picture is looked at: then nobody may refer to it any more
PICTURE = f"{_TAG}:picture:"  # + its name in the result store: who refers to it
FACTS = f"{_TAG}:facts"
CIRCUIT = f"{_TAG}:circuit:"  # + offer or provider account
DRAINED = f"{_TAG}:drained"
BUDGET = f"{_TAG}:budget:"  # + scope + ':' + window
GATEWAY_TOTAL = f"{BUDGET}gateway:total"  # the first acceptance writes it, and nothing ever removes it


WEBHOOKS = f"{_TAG}:webhook:"  # + what `lua/posting.lua` and `endpoints.py` name below it
ACTS = f"{_TAG}:acts"  # what operators did, by its time
REVOKED = f"{_TAG}:revoked"  # a hash: an API key's hash -> who took it back, when and why


def team_edits(team: str) -> str:
    return f"{_TAG}:edits:{team}"


def open_edits(team: str, key_id: str) -> str:
    return f"{_TAG}:open:{team}/{key_id}"


def rate(team: str, key_id: str) -> str:
    return f"{_TAG}:rate:{team}/{key_id}"


def idempotency_key(team: str, key_hash: str) -> str:
    return f"{_TAG}:key:{team}:{key_hash}"


def fingerprint(team: str, key_id: str, fingerprint: str) -> str:
    return f"{_TAG}:fingerprint:{team}/{key_id}:{fingerprint}"


def upload(team: str, upload_id: str) -> str:
    return f"{_TAG}:upload:{team}:{upload_id}"


def refusal(team: str, content: str) -> str:
    return f"{_TAG}:refused:{team}:{content}"


def team_endpoints(team: str) -> str:
    return f"{WEBHOOKS}team:{team}"


def endpoint(endpoint_id: str) -> str:
    return f"{WEBHOOKS}endpoint:{endpoint_id}"


def deliveries(endpoint_id: str) -> str:
    """An endpoint's log: its deliveries, by when they were made."""
    return f"{WEBHOOKS}log:{endpoint_id}"


def delivery(endpoint_id: str, message: str) -> str:
    return f"{WEBHOOKS}delivery:{endpoint_id}:{message}"


DUE_ENDPOINTS = f"{WEBHOOKS}due"  # endpoints, by when something is due there
DISABLED_ENDPOINTS = f"{WEBHOOKS}disabled"

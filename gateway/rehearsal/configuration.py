"""A `kontext.toml` that sends the gateway to the stand-ins."""

import os
from pathlib import Path

from gateway.rehearsal.backstage import KEY

KEY_FILE = "rehearsal.key"

TEMPLATE = """\
# Everything goes to the stand-ins at {url}: no money, no network.
# See what they billed at {url}/rehearsal.

[providers.runware]
api_key = "file:{key_file}"
base_url = "{url}/runware/v1"

[providers.runflow]
api_key = "file:{key_file}"
base_url = "{url}/runflow"

[providers.local]
base_url = "embedded:preview"
{models}
[policies.cheapest]
tier = "standard"
order = ["cheapest"]
offers = ["runware/kontext-pro", "runflow/kontext-pro", "runware/kontext-max", "runflow/kontext-max"]

[policies.premium]
tier = "premium"
offers = ["runware/kontext-max", "runflow/kontext-max"]

[policies.production]
tier = "standard"
offers = ["runware/kontext-pro", "runflow/kontext-pro", "runware/kontext-max", "runflow/kontext-max"]

[policies.preview]
tier = "preview"
offers = ["local/preview"]

[teams.rehearsal]
policy = "production"
keys = [{{ hash = "{key_hash}", scopes = ["edit", "read", "admin"] }}]
"""


MODELS = (
    "runware.models.kontext-pro",
    "runware.models.kontext-max",
    "runflow.models.kontext-pro",
    "runflow.models.kontext-max",
)


def example_config(url: str, key_file: Path, key_hash: str, seconds: float | None = None) -> str:
    """The text of the file. `key_hash` is the line that `kontext key new` prints (`sha256:…`); `seconds` is how long
    the stand-ins take, where that is not as long as the providers."""
    times = "" if seconds is None else "".join(f"\n[providers.{model}]\nusual_s = {seconds}\n" for model in MODELS)
    return TEMPLATE.format(url=url, key_file=key_file, key_hash=key_hash, models=times)


def write_config(path: Path, url: str, key_hash: str, *, key: str = KEY, seconds: float | None = None) -> None:
    """Write the configuration, and beside it the key that the stand-ins take (mode 0600), which it names by path.

    A literal key in the file would be refused by the gateway. Both files are replaced.
    """
    key_file = path.resolve().parent / KEY_FILE
    key_file.unlink(missing_ok=True)
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(f"{key}\n")
    path.write_text(example_config(url, key_file, key_hash, seconds), encoding="utf-8")

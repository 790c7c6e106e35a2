"""`python -m tests.trials.image`: the image's recipe, built and started as far as a machine without registries allows.

Needs root, `buildah`, `debootstrap` and Debian's packages. The base (`python:…-slim-bookworm`) is substituted by a
Debian of the same release with its own Python; every other step is the recipe's own. What is built is then started as
its user, over a configuration that sends it to stand-ins, and asked for an edit. Not seen here: the real base, an
engine's health check, and a root file system that is mounted read-only.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from gateway.rehearsal.configuration import write_config
from gateway.rehearsal.server import Rehearsal
from gateway.secret import key_hash
from tests.end_to_end.stage import PHOTO_URI, PROMPT

ROOT = Path(__file__).parents[2]
BASE, BUILT = "localhost/kontext-base", "localhost/kontext-gateway:trial"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
CERTIFICATES = "/etc/ssl/certs"
KEPT = """
[state]
dir = "/var/lib/kontext"
[results]
url = "file:/var/lib/kontext/results"
[ledger]
url = "sqlite:/var/lib/kontext/ledger.db"
"""
KEY, PORT = "kx_image", 18080
UID = "65532"


def buildah(*words: str) -> str:
    """What it prints; the trial ends where it fails. In a chroot, since namespaces may not be ours to make."""
    env = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
    done = subprocess.run(("buildah", *words), env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"buildah {' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout.strip()


def said(words: str, began_s: float) -> None:
    print(f"{time.monotonic() - began_s:6.1f} s  {words}", flush=True)


def substitute(folder: Path) -> None:
    """A base with what the recipe expects of the real one: `python` and a `pip` that installs."""
    root = folder / "root"
    command = ("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root), MIRROR)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (root / "usr/bin/python").symlink_to("python3")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    container = buildah("from", "scratch")
    buildah("add", "-q", container, str(root), "/")
    bundle = f"SSL_CERT_FILE={CERTIFICATES}/ca-certificates.crt"
    path = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    for variable in (path, bundle, "UV_SYSTEM_CERTS=1"):
        buildah("config", "--env", variable, container)
    buildah("commit", "-q", "--rm", container, BASE)


def build(folder: Path) -> None:
    recipe = (ROOT / "deploy/docker/Dockerfile").read_text("utf-8").replace("python:${PYTHON}-slim-bookworm", BASE)
    assert recipe.count(BASE) == 2
    (folder / "Dockerfile").write_text(recipe, "utf-8")
    certificates = f"{CERTIFICATES}:{CERTIFICATES}:ro"
    words = ("--pull-never", "--network", "host", "--format", "docker", "--volume", certificates, "-t", BUILT)
    buildah("bud", *words, "-f", str(folder / "Dockerfile"), str(ROOT))


def checks(container: str) -> dict[str, bool]:
    def run(*words: str) -> str:
        return buildah("run", container, "--", *words)

    config = json.loads(buildah("inspect", "--type", "image", BUILT))["Docker"]["config"]
    count = "import json; print(len(json.load(open('/opt/kontext/sbom.cdx.json'))['components']))"
    refused: Callable[[str], bool] = lambda path: run("sh", "-c", f"touch {path} 2>/dev/null || echo no") == "no"  # noqa: E731
    return {
        f"runs as {UID}": run("id", "-u") == UID == config["User"].partition(":")[0],
        "its command answers": run("kontext", "--version").startswith("kontext, version"),
        "what it runs cannot be written": refused("/opt/kontext/x") and refused("/etc/kontext/x"),
        "its state can": not refused("/var/lib/kontext/x"),
        "holds no build tools": run("sh", "-c", "command -v uv gcc || echo none") == "none",
        "lists its components": int(run("python", "-c", count)) > 30,
        "has a health check": bool(config.get("Healthcheck")),
        "stops by SIGTERM": config.get("StopSignal") == "SIGTERM",
    }


async def edit(container: str, folder: Path) -> bool:
    """One edit through the image's own gateway, at stand-ins beside it."""
    async with Rehearsal.serve(seconds=0.2, fast=True) as rehearsal, httpx.AsyncClient(timeout=60) as http:
        place = folder / "etc"
        place.mkdir()
        write_config(place / "kontext.toml", rehearsal.url, key_hash(KEY), key=rehearsal.key)
        text = (place / "kontext.toml").read_text().replace(str(place), "/etc/kontext")
        (place / "kontext.toml").write_text(text + KEPT)
        for path in place.iterdir():
            path.chmod(0o400)
            os.chown(path, int(UID), int(UID))
        command = ("run", "--volume", f"{place}:/etc/kontext:ro", container, "--", "kontext", "serve")
        env = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
        process = await asyncio.create_subprocess_exec("buildah", *command, "--port", str(PORT), env=env)
        try:
            url = f"http://127.0.0.1:{PORT}"
            async with asyncio.timeout(60):
                while not await _is_ready(http, url):
                    assert process.returncode is None, "the gateway ended"
                    await asyncio.sleep(0.2)
            document = {"prompt": PROMPT, "images": [PHOTO_URI]}
            headers = {"authorization": f"Bearer {KEY}"}
            answer = (await http.post(f"{url}/v1/edits", json=document, headers=headers)).json()
            return answer["status"] == "succeeded" and len(rehearsal.bill.entries) == 1
        finally:
            killed = await asyncio.create_subprocess_exec("pkill", "-TERM", "-u", UID, "-f", "kontext serve")
            await killed.wait()
            await process.wait()


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/readyz")).status_code == 200
    except httpx.HTTPError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep-base", action="store_true", help="use the substituted base of an earlier trial")
    asked, began_s = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kontext-image-") as name:
        folder = Path(name)
        if not asked.keep_base:
            substitute(folder)
            said("a base in the place of the real one", began_s)
        build(folder)
        said("the recipe's steps, all of them", began_s)
        container = buildah("from", "--pull-never", BUILT)
        found = {**checks(container), "edits a picture": asyncio.run(edit(container, folder))}
        buildah("rm", container)
    for what, holds in found.items():
        said(f"{'yes' if holds else 'NO '}  {what}", began_s)
    sys.exit(0 if all(found.values()) else 1)


if __name__ == "__main__":
    main()

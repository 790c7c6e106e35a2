"""Two S3 servers: moto's, which knows S3's words best, and SeaweedFS, which really keeps what it is given."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import boto3  # pyright: ignore[reportMissingTypeStubs] - it ships none
import pytest
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs] - it ships none
from moto.server import ThreadedMotoServer

from tests.ports import free_port

BUCKET = "pictures"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="session")
def moto() -> Generator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def seaweed() -> Generator[str]:
    folder = Path(tempfile.mkdtemp(prefix="kontext-test-"))
    ports = [str(free_port()) for _ in range(4)]
    program = Path(sys.executable).with_name("weed")
    process = subprocess.Popen(
        [
            program, "server", "-dir", folder, "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-s3",
            "-s3.port", ports[0], "-master.port", ports[1], "-volume.port", ports[2], "-filer.port", ports[3],
            "-volume.max", "2", "-master.volumeSizeLimitMB", "64", "-master.telemetry=false",
            # Services on fixed ports that nobody asks for here, and over which a second server would end.
            "-s3.port.iceberg", "0", "-s3.port.lance", "0",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield f"http://127.0.0.1:{ports[0]}"
    process.send_signal(signal.SIGKILL)
    process.wait()
    shutil.rmtree(folder)


@pytest.fixture(params=["moto", "seaweed"])
def endpoint(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An S3 address with an empty bucket, in the environment where its SDK looks for it."""
    url: str = request.getfixturevalue(request.param)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    _create_bucket(url)
    return url


def _create_bucket(url: str, patience_s: float = 60.0) -> None:
    """A server that has just started says no for a while."""
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=Config(retries={"max_attempts": 1}))
    over = time.monotonic() + patience_s
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
        except client.exceptions.BucketAlreadyOwnedByYou:
            return
        except Exception:
            if time.monotonic() > over:
                raise
            time.sleep(0.2)  # between two questions over the network, not for a result
        else:
            return

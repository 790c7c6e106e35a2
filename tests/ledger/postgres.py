"""A private PostgreSQL for a test session: in a folder of its own, on a unix socket, ended with the session."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

USER = "kontext"


def programs() -> Path | None:
    """The folder of PostgreSQL's own programs: Debian keeps them off PATH, one folder for each version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root, as which containers run: then it runs as nobody."""
    if os.getuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd=folder, check=True)


@contextmanager
def server(folder: Path) -> Generator[str]:
    """The address of its one database."""
    as_user = _unprivileged()
    root = Path(tempfile.mkdtemp(prefix="kontext-pg-"))
    if as_user:
        shutil.chown(root, "nobody")
    data, log = root / "data", root / "log"
    made = ["--auth=trust", f"--username={USER}", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    options = f"-c listen_addresses='' -c unix_socket_directories={root} -c fsync=off"
    control = [*as_user, str(folder / "pg_ctl"), "-D", str(data), "-w"]
    try:
        _run([*as_user, str(folder / "initdb"), "-D", str(data), *made], root)
        _run([*control, "-l", str(log), "-o", options, "start"], root)
        try:
            yield f"postgresql://{USER}@/postgres?host={root}"
        finally:
            _run([*control, "-m", "immediate", "stop"], root)
    finally:
        shutil.rmtree(root)

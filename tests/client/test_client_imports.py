"""The client asks for httpx and msgspec, and for nothing of the server."""

import subprocess
import sys

PROGRAM = """
import sys
import httpx, msgspec  # and whatever they bring
before = set(sys.modules)
import gateway.client
for name in sorted(set(sys.modules) - before):
    top = name.partition(".")[0]
    if top not in sys.stdlib_module_names and top not in ("httpx", "msgspec"):
        print(name)
"""


def test_importing_the_client_imports_nothing_of_the_server() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    imported = done.stdout.split()
    assert "gateway.client.blocking" in imported
    assert [name for name in imported if name != "gateway" and not name.startswith("gateway.client")] == []

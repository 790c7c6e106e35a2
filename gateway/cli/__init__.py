"""The command line: `kontext`."""

from gateway.cli.main import main

__all__ = ["main"]

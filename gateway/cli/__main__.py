"""`python -m gateway.cli` is `kontext`."""

from gateway.cli.main import main

main(prog_name="kontext")

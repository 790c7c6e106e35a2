"""The configuration as the commands find it: by `--config`, `KONTEXT_CONFIG` or `./kontext.toml`, else development."""

import secrets

import rich_click as click

from gateway.cli.exits import Exit
from gateway.clock import SystemClock, day_of
from gateway.configuration import SettingsError, environment, find_file, load
from gateway.identity import api_key
from gateway.settings import Settings

config_option = click.option(
    "--config", metavar="FILE", help="Configuration file; else KONTEXT_CONFIG, else ./kontext.toml."
)


class ConfigurationRefused(click.ClickException):
    exit_code = Exit.USAGE


def load_settings(config: str | None) -> Settings:
    """The settings, or a refusal with exit code 2."""
    env = environment()
    try:
        path = find_file(config, env)
        today = day_of(SystemClock().now_ms())
        key = None if path else env.get("KONTEXT_DEV_KEY") or api_key(secrets.token_bytes(32))
        return load(path, env, today, development_key=key)
    except SettingsError as error:
        raise ConfigurationRefused(str(error)) from None

"""The configuration as the commands find it: by `--config`, `KONTEXT_CONFIG` or `./kontext.toml`, else development."""

import secrets

import rich_click as click

from gateway.cli.exits import Exit
from gateway.clock import SystemClock, day_of
from gateway.configuration import SettingsError, environment, find_file, load
from gateway.identity import api_key
from gateway.settings import Settings, Source

config_option = click.option(
    "--config", metavar="FILE", help="Configuration file; else KONTEXT_CONFIG, else ./kontext.toml."
)


class ConfigurationRefused(click.ClickException):
    exit_code = Exit.USAGE


def load_settings(config: str | None) -> Settings:
    """The settings, or a refusal with exit code 2."""
    return read_settings(source_of(config))


def read_settings(source: Source) -> Settings:
    try:
        return source.read()
    except SettingsError as error:
        raise ConfigurationRefused(str(error)) from None


def source_of(config: str | None) -> Source:
    """Where the settings come from, to be read as often as it changes; in development, one key for all times."""
    env = environment()
    path = find_file(config, env)
    key = None if path else env.get("KONTEXT_DEV_KEY") or api_key(secrets.token_bytes(32))

    def read() -> Settings:
        return load(path, env, day_of(SystemClock().now_ms()), development_key=key)

    return Source(path, read)

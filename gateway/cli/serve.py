"""`kontext serve`: the gateway as a server, one process."""

import sys

import rich_click as click

from gateway.cli.config import ConfigurationRefused, config_option, read_settings, source_of
from gateway.settings import Settings


@click.command()
@config_option
@click.option("--host", help="Address to listen on; else the configuration's.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on; else the configuration's.")
def serve(config: str | None, host: str | None, port: int | None) -> None:
    """Run the gateway. Without a configuration: loopback, the preview engine, and a key printed here."""
    from gateway.observe import configure_logging, never_log
    from gateway.server import ServerRefused, run

    source = source_of(config)
    settings = read_settings(source)
    configure_logging(as_json=not sys.stderr.isatty())
    never_log(settings.secret_texts)
    try:
        port = settings.server.port if port is None else port
        run(settings, host or settings.server.host, port, announce, source)
    except ServerRefused as refused:
        raise ConfigurationRefused(str(refused)) from None


def announce(settings: Settings, url: str) -> None:
    """The first lines of a person's screen: where it is, with which key, and a request to try."""
    click.echo(f"kontext gateway at {url}   (offers: {', '.join(sorted(settings.offers))})")
    if settings.development_key is None:
        return
    click.echo(f"development key: {settings.development_key}   (set KONTEXT_DEV_KEY to choose it)")
    click.echo(
        f"try: curl {url}/v1/edits -H 'authorization: Bearer {settings.development_key}' "
        "-F image=@photo.jpg -F 'prompt=Make it black and white'"
    )

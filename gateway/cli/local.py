"""`kontext local`: the local backend as a server of its own, which speaks the OpenAI images protocol."""

import rich_click as click


@click.command()
@click.option("--engine", type=click.Choice(["preview"]), default="preview", help="What edits the pictures.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8000, show_default=True)
def local(engine: str, host: str, port: int) -> None:
    """Serve the local backend. The preview needs no weights: a small grammar of whole-image edits, always stamped."""
    from gateway.local.app import serve

    click.echo(
        f"local backend ({engine}) at http://{host}:{port}/v1   (base_url of a provider with adapter openai_images)"
    )
    serve(host, port)

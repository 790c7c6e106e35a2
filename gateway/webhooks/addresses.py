"""Which addresses lie under an endpoint: what an edit may name, so that nobody has to sign for a place that its owner
never registered."""

import re

from gateway.egress.targets import Target, parse_url

_STEPS_ASIDE = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def lies_under(url: Target, endpoint: str) -> bool:
    """The same scheme, host and port, and the endpoint's path, whole steps of it. A path that steps aside (`..`) lies
    under none. An endpoint with a query has nothing below it."""
    base = parse_url(endpoint)
    if (url.scheme, url.authority) != (base.scheme, base.authority):
        return False
    if url.path == base.path:
        return True
    path = url.path.partition("?")[0]
    folder = base.path.rstrip("/")
    is_below = path == folder or path.startswith(f"{folder}/")
    return is_below and "?" not in base.path and not _STEPS_ASIDE.search(path)

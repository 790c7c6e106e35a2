"""The forward proxy of the section `egress`, looked at."""

from collections.abc import Mapping
from pathlib import Path

from gateway.configuration.place import SettingsError
from gateway.configuration.providers import secret
from gateway.egress.proxy import ForwardProxy
from gateway.secret import Secret
from gateway.sections import EgressSection

_LITERAL = "egress.proxy: a password in the file itself is refused; write env:NAME or file:PATH of the whole address"


def proxy(section: EgressSection, env: Mapping[str, str], base: Path) -> Secret | None:
    """Secret as a whole, for it may hold a password."""
    given = section.proxy
    if given is None:
        return None
    referred = given.startswith(("env:", "file:"))
    found = secret("egress.proxy", given, env, base) if referred else Secret(given)
    try:
        parsed = ForwardProxy.parse(found.reveal())
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if parsed.headers and not referred:
        raise SettingsError(_LITERAL)
    return found

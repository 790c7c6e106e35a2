"""`python -m gateway.configuration.reference`: every setting of `kontext.toml`, from the types that read it.

Written to docs/configuration.md; a test holds the page against the types.
"""

import inspect
import types
import typing
from enum import Enum
from typing import Any, Literal

import msgspec
from msgspec import Struct, UnsetType

from adapters.registry import REGISTRY
from gateway import sections
from gateway.catalogue import ModelOverlay
from policies.conditions import When

HEAD = """\
# Configuration

Every setting of `kontext.toml`, made from the types that read it by `python -m gateway.configuration.reference`. A
field that is not here is refused by name; `kontext check` says whether a file is valid, and what it would do. Paths are
relative to the file's own folder. A secret is never written down: `env:NAME` and `file:PATH` say where it stands, and
the addresses of the store and the ledger may be such references too.
"""

TABLES: tuple[tuple[str, type[Struct], str], ...] = (
    ("server", sections.ServerSection, ""),
    ("clients", sections.ClientsSection, ""),
    ("state", sections.StateSection, ""),
    ("results", sections.ResultsSection, ""),
    ("ledger", sections.LedgerSection, ""),
    ("egress", sections.EgressSection, ""),
    ("limits", sections.LimitsSection, ""),
    ("retention", sections.RetentionSection, ""),
    ("metrics", sections.MetricsSection, ""),
    ("budget", sections.BudgetSection, "The whole gateway's; a team's and a key's have the same fields."),
    ("providers.NAME", sections.ProviderSection, ""),
    ("providers.NAME.models.MODEL", ModelOverlay, ""),
    ("policies.NAME", sections.PolicySection, ""),
    ("policies.NAME.rules", sections.RuleSection, "A list of tables: `[[policies.NAME.rules]]`."),
    ("policies.NAME.rules.when", When, ""),
    ("teams.NAME", sections.TeamSection, ""),
    ("teams.NAME.hedge", sections.HedgeSection, ""),
    ("teams.NAME.keys", sections.KeySection, "Either hashes alone, or a list of tables: `[[teams.NAME.keys]]`."),
)


def reference() -> str:
    """The page, as Markdown."""
    shared = [_table(f"`[{name}]`", kind, words) for name, kind, words in TABLES]
    own = [
        _table(f"`[providers.NAME]` of the adapter `{name}`", kind.settings, "")
        for name, kind in sorted(REGISTRY.items())
    ]
    return "\n".join((HEAD, *shared, *own))


def _table(title: str, kind: type[Struct], words: str) -> str:
    said = [words] if words else []
    if kind.__doc__:
        said.append(" ".join(inspect.cleandoc(kind.__doc__).split()))
    rows = [f"| `{one.encode_name}` | {_type(one.type)} | {_default(one)} |" for one in msgspec.structs.fields(kind)]
    head = ("| field | takes | left out |", "| --- | --- | --- |")
    return "\n".join((f"## {title}", "", *(f"{text}\n" for text in said), *head, *rows, ""))


def _default(one: msgspec.structs.FieldInfo) -> str:
    if one.required:
        return "must be given"
    value = one.default
    return f"`{_written(value)}`" if _is_plain(value) else "–"


def _is_plain(value: object) -> bool:
    """Worth showing: a default that is something."""
    return isinstance(value, (str, int, float, bool, tuple)) and value not in ((), "")


def _written(value: object) -> str:
    """As the file would say it."""
    return msgspec.json.encode(value, enc_hook=str).decode()


def _type(kind: Any) -> str:  # noqa: ANN401 - any annotation
    """The words for an annotation: `text`, `number`, one of its literals, a list of what it holds."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return ", ".join(f'`"{one}"`' for one in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments if one not in (type(None), UnsetType))
    if origin in (tuple, list):
        return f"a list of {_type(arguments[0])}"
    if origin is dict:
        return f"a table of {_type(arguments[1])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f'`"{one.value}"`' for one in kind)
    if isinstance(kind, type) and issubclass(kind, Struct):
        return "a table, below" if kind.__name__.endswith(("Section", "Overlay", "When")) or kind is When else "a table"
    return _WORDS.get(kind, "any")


_WORDS: dict[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201 - its one purpose

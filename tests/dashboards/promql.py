"""PromQL, taken apart: which metrics a query names, and what an alert measures before it compares."""

import re
from collections.abc import Iterator

import promql_parser
from promql_parser import BinaryExpr, Call, Expr, MatrixSelector, ParenExpr, VectorSelector

_COMPARES = frozenset({">", ">=", "<", "<=", "==", "!="})
_SETS = frozenset({"and", "or"})


def filled(expr: str, *, window: str = "5m") -> str:
    """A panel's query with Grafana's variables filled in: every value, over `window`."""
    expr = expr.replace("$__rate_interval", window).replace("$__range", window)
    return re.sub(r"\$\w+", ".*", expr)


def metrics_of(expr: str) -> frozenset[str]:
    """The names of the metrics that `expr` selects."""
    found: set[str] = set()

    def visit(node: Expr) -> None:
        selector = node.vector_selector if isinstance(node, MatrixSelector) else node
        if isinstance(selector, VectorSelector) and selector.name:
            found.add(selector.name)

    promql_parser.walk(promql_parser.parse(expr), visit)
    return frozenset(found)


def measured(expr: str) -> tuple[str, ...]:
    """What an alert looks at: the left side of each comparison, and what must not be absent. It has data when the alert
    does not fire, too."""
    return tuple(node.prettify() for node in _sides(promql_parser.parse(expr)))


def _sides(node: Expr) -> Iterator[Expr]:
    if isinstance(node, ParenExpr):
        yield from _sides(node.expr)
    elif isinstance(node, BinaryExpr) and str(node.op) in _SETS:
        yield from _sides(node.lhs)
        yield from _sides(node.rhs)
    elif isinstance(node, BinaryExpr) and str(node.op) in (_COMPARES | {"unless"}):
        yield from _sides(node.lhs)
    elif isinstance(node, Call) and node.func.name == "absent":
        yield from node.args
    else:
        yield node

"""The tables for a terminal, for the docs, and as one picture."""

from collections.abc import Iterator, Sequence
from html import escape

from rich.table import Table as Grid

from gateway.lab.promises import Promise
from gateway.lab.tables import Row, Table

HEADINGS = ("strategy", "delivered", "in time", "$ each", "to oracle", "waste $/1000", "p50 s", "p95 s", "sick")
NOTES = (
    "*delivered*: of the edits that were not refused for their content; *in time*: within the deadline. *$ each*: all "
    "that was charged per delivered edit; *to oracle*: relative to a clairvoyant buyer. *waste*: what was charged "
    "beyond one price per delivered edit. *sick*: submits sent to a sick provider per edit that arrived meanwhile."
)
HEAD = """\
# The laboratory

`kontext lab` drives the gateway's own planning, reacting and circuits through a simulated market, beside what people
use today, written from its documentation: a static fallback chain, round robin with a cooldown of 5 s, lowest latency,
a weighted shuffle. The oracle knows every outcome in advance; nobody can have it. Every strategy meets the same edits
and the same luck. What the simulation leaves out is said in `gateway/lab/world.py`.

The promises are made for two providers at one price. Where the second one is dearer, a first one that is slow may cost
more than promised (10.6 % above the oracle instead of 10 with `--seed 2 --second-usd 0.05`, and more with fewer edits):
it is left when its attempts overrun, and believed again only when that evidence has faded; until then every edit pays
the second one's price.

Your own past, and a policy before you ship it:

```sh
kontext lab --config kontext.toml --policy production --ledger sqlite:.kontext/ledger.db
```

`--ledger` also takes `postgresql://…`, `env:NAME` of an address, or the ledger's rows as `.jsonl` or `.csv`; the
ledger is only read. What an offer would have answered is drawn from the attempts that it had around that moment, so an
offer that was never tried is left out, and every edit is taken as the same ordinary one.
"""
COLOURS = ("#1b6e53", "#888888", "#d97b29", "#3b6fb6", "#a14ca0", "#b23a48", "#6b8e23", "#20808d")


def cells(table: Table, row: Row) -> tuple[str, ...]:
    return (
        row.strategy,
        f"{row.delivered:.2%}",
        f"{row.in_time:.2%}",
        f"{row.usd_each:.5f}",
        f"{table.dearer(row):+.1%}",
        f"{row.waste_usd:.2f}",
        f"{row.p50_s:.1f}",
        f"{row.p95_s:.1f}",
        "" if row.sick is None else f"{row.sick:.2f}×",
    )


def grid(table: Table) -> Grid:
    """For a terminal."""
    title = f"{table.scenario.name}: {table.scenario.about}"
    made = Grid(title=title, title_justify="left", box=None, padding=(0, 1), collapse_padding=True)
    for place, heading in enumerate(HEADINGS):
        made.add_column(heading, justify="right" if place else "left", overflow="fold")
    for row in table.rows:
        made.add_row(*cells(table, row))
    return made


def markdown(tables: Sequence[Table], kept: Sequence[Promise], made: str) -> str:
    """The page of the docs. `made`: by which command, when, and how quickly."""
    lines = [HEAD, made, "", "![](lab.svg)", "", NOTES, ""]
    for table in tables:
        lines += [f"## {table.scenario.name}: {table.scenario.about}", "", _line(HEADINGS)]
        lines += [
            _line(["---", *["---:"] * (len(HEADINGS) - 1)]),
            *(_line(cells(table, row)) for row in table.rows),
            "",
        ]
    if kept:
        lines += ["## What was promised", "", *(f"- {verdict}" for verdict in verdicts(kept)), ""]
    return "\n".join(lines)


def verdicts(kept: Sequence[Promise]) -> Iterator[str]:
    """The promises of each scenario, kept or not, in words."""
    for scenario in dict.fromkeys(one.scenario for one in kept):
        of_it = [one for one in kept if one.scenario == scenario]
        words = "; ".join(f"{one.words} ({'kept' if one.kept else 'NOT KEPT'})" for one in of_it)
        yield f"{scenario}: {of_it[0].policy} {words}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


# --- the picture ----------------------------------------------------------------------------------------------------

LEFT, WIDTH, STEP, TOP = 110, 300, 34, 60
FONT = 'font-family="sans-serif" font-size="11"'


def svg(tables: Sequence[Table]) -> str:
    """Two panels of dots, a line for each scenario: what was not delivered, and the price to the oracle."""
    height = TOP + STEP * len(tables) + 30
    names = [row.strategy for row in tables[0].rows]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + 2 * WIDTH + 80} {height}" {FONT}>',
        '<rect width="100%" height="100%" fill="white"/>',
        *_legend(names),
        *_panel(LEFT, "not delivered", [[1 - row.delivered for row in table.rows] for table in tables]),
        *_panel(
            LEFT + WIDTH + 50,
            "price of a delivered edit, to the oracle",
            [[max(0.0, table.dearer(row)) for row in table.rows] for table in tables],
        ),
        *(
            f'<text x="8" y="{_y(place) + 4}">{escape(table.scenario.name)}</text>'
            for place, table in enumerate(tables)
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _y(place: int) -> int:
    return TOP + STEP * place + STEP // 2


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _legend(names: Sequence[str]) -> Iterator[str]:
    for place, name in enumerate(names):
        x = LEFT + place * 110
        yield f'<circle cx="{x}" cy="14" r="5" fill="{_colour(place)}"/>'
        yield f'<text x="{x + 9}" y="18">{escape(name)}</text>'


def _panel(left: int, title: str, values: list[list[float]]) -> Iterator[str]:
    """Dots on a square-root scale, which shows small differences beside large ones."""
    most = max(0.01, max(max(row) for row in values))
    yield f'<text x="{left}" y="{TOP - 20}" font-weight="bold">{title} (0 to {most:.0%}, square-root scale)</text>'
    for line, row in enumerate(values):
        yield f'<line x1="{left}" x2="{left + WIDTH}" y1="{_y(line)}" y2="{_y(line)}" stroke="#dddddd"/>'
        for place, value in enumerate(row):
            x, y = left + WIDTH * (value / most) ** 0.5, _y(line) + 3 * (place - len(row) / 2)
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_colour(place)}" fill-opacity="0.8"/>'

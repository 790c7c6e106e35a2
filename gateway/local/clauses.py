"""A prompt, cut into clauses, each with how it is joined to the one before.

Text in quotation marks is lifted out before anything is cut, so `"20% OFF, today and tomorrow"` stays whole. One pass
over the prompt, every character looked at a bounded number of times: no prompt can make this slow.
"""

import re
from collections.abc import Iterator
from enum import StrEnum

import msgspec


class Joint(StrEnum):
    """What stands between a clause and the clause before it; `STOP` also before the first."""

    STOP = "stop"
    COMMA = "comma"
    AND = "and"


class Clause(msgspec.Struct, frozen=True):
    """`text` as written; `words` folded for matching, each quotation one word `"` whose content is in `quotes`."""

    text: str
    words: tuple[str, ...]
    quotes: tuple[str, ...]
    joint: Joint


class _Token(msgspec.Struct, frozen=True):
    start: int
    end: int
    word: str = ""
    quote: str | None = None
    joint: Joint | None = None


QUOTE = '"'
_UNCLOSED = "\ufffd"  # matches no rule
_CLOSERS = {'"': r'"', "“": r"[”\"]", "„": r"[“”]", "«": r"»", "'": r"'(?!\w)", "‘": r"’(?!\w)"}
_APOSTROPHES = frozenset("'‘")
_PIECE = re.compile(
    r"(?P<stop>[.;!?\n。；！？]+)|(?P<comma>[,，、]+)|(?P<gap>[^\S\n]+)"
    r'|(?P<word>(?:[^\s,;.!?，、。；！？"“„«]|(?<=[0-9])[.,](?=[0-9]))+)'
)
_ANDS = frozenset({"and", "&"})
_BULLETS = frozenset({"-", "*", "•", "–"})


def split(prompt: str) -> tuple[Clause, ...]:
    """The clauses of a prompt in order; none if it holds no word."""
    clauses: list[Clause] = []
    held: list[_Token] = []
    joint = Joint.STOP
    for token in [*_keep_black_and_white(list(_tokens(prompt))), _Token(len(prompt), len(prompt), joint=Joint.STOP)]:
        if token.joint is None:
            held.append(token)
        elif held:
            clauses.append(_clause(prompt, held, joint))
            held, joint = [], token.joint
        else:
            joint = _stronger(joint, token.joint)
    return tuple(clauses)


def _stronger(a: Joint, b: Joint) -> Joint:
    """Of the separators in a row the full stop wins, then the "and"."""
    order = (Joint.COMMA, Joint.AND, Joint.STOP)
    return max(a, b, key=order.index)


def _clause(prompt: str, tokens: list[_Token], joint: Joint) -> Clause:
    return Clause(
        text=prompt[tokens[0].start : tokens[-1].end].strip(),
        words=tuple(token.word for token in tokens if token.word),
        quotes=tuple(token.quote for token in tokens if token.quote is not None),
        joint=joint,
    )


def _tokens(prompt: str) -> Iterator[_Token]:
    at = 0
    hopeless: set[str] = set()  # quotation marks that close nowhere in the rest: each is searched in vain only once
    while at < len(prompt):
        token = _quotation(prompt, at, hopeless) or _piece(prompt, at)
        at = token.end
        if token.word or token.joint:
            yield token


def _quotation(prompt: str, at: int, hopeless: set[str]) -> _Token | None:
    mark = prompt[at]
    if mark not in _CLOSERS or mark in hopeless:
        return None
    if closer := re.compile(_CLOSERS[mark]).search(prompt, at + 1):
        return _Token(at, closer.end(), word=QUOTE, quote=prompt[at + 1 : closer.start()])
    if mark in _APOSTROPHES:
        hopeless.add(mark)
        return None
    # An unclosed quotation swallows the rest: a word inside it must not be taken for an instruction.
    return _Token(at, len(prompt), word=_UNCLOSED)


def _piece(prompt: str, at: int) -> _Token:
    match = _PIECE.match(prompt, at)
    if match is None:  # pragma: no cover - the four kinds and the quotation marks cover every character
        return _Token(at, at + 1)
    if match["stop"] or match["comma"]:
        return _Token(at, match.end(), joint=Joint.STOP if match["stop"] else Joint.COMMA)
    word = (match["word"] or "").casefold().replace("’", "'").rstrip(":")
    if word in _ANDS:
        return _Token(at, match.end(), joint=Joint.AND)
    if word == "then":
        return _Token(at, match.end(), joint=Joint.STOP)
    return _Token(at, match.end(), word="" if word in _BULLETS else word)


def _keep_black_and_white(tokens: list[_Token]) -> Iterator[_Token]:
    """ "Black and white" is one word, or the "and" in it would cut it in two."""
    at = 0
    while at < len(tokens):
        now, *rest = tokens[at : at + 3]
        if now.word == "black" and len(rest) == 2 and rest[0].joint is Joint.AND and rest[1].word == "white":
            yield _Token(now.start, rest[1].end, word="black-and-white")
            at += 3
        else:
            yield now
            at += 1

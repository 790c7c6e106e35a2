"""Which of the clauses understood really mean the whole picture.

A clause can match a rule and still speak of its neighbour's object: in "blur and sharpen the dog" the blur is for the
dog, in "find the dog. Blur it." so is "it", and "invert the image, except the sky" is no order to invert the sky.
Such a clause is withdrawn, and reported with the rest: an edit left out is said, a wrong edit is not undone.
"""

from collections.abc import Sequence

import msgspec

from gateway.local import grammar
from gateway.local.clauses import Clause, Joint, split
from gateway.local.operations import Border, Crop, Operation, Resize, Text

_NEGATIONS = frozenset(
    {"don't", "dont", "not", "never", "no", "without", "avoid", "cannot", "can't", "won't", "neither", "nor", "isn't"}
)
# A clause that begins so is no request of its own: it limits its sentence.
_LIMITS = frozenset(
    {
        *("after", "before", "during", "since", "until", "when", "whenever", "while", "if", "unless"),
        *("apart", "besides", "but", "except", "excluding", "instead", "only", "or", "other", "rather", "without"),
        *("around", "as", "at", "behind", "everywhere", "for", "from", "in", "inside", "like", "near", "of", "on"),
        *("outside", "under", "where", "wherever", "with", "within"),
    }
)
# They bring an object or a shape of their own, so no neighbour's object can be meant.
_SELF_STANDING = (Text, Border, Crop, Resize)


class Part(msgspec.Struct, frozen=True):
    """A clause as written, with the operation to apply, or None."""

    text: str
    operation: Operation | None


def parse(prompt: str) -> tuple[Part, ...]:
    """The prompt's clauses in order; a prompt without any word is one part that asks for nothing known."""
    clauses = split(prompt)
    readings = [grammar.read(clause) for clause in clauses]
    for withdraw in (_limited, _negated, _pronouns, _shared_before, _shared_after):
        readings = withdraw(clauses, readings)
    if not clauses and prompt.strip():
        return (Part(prompt.strip(), None),)
    return tuple(
        Part(clause.text, reading and reading.operation) for clause, reading in zip(clauses, readings, strict=True)
    )


Clauses = Sequence[Clause]
Readings = list[grammar.Reading | None]


def _limited(clauses: Clauses, readings: Readings) -> Readings:
    """ "…, except the dog": nothing in that sentence is meant for the whole picture."""
    numbers = _sentences(clauses)
    limited = {
        number
        for number, clause, reading in zip(numbers, clauses, readings, strict=True)
        if reading is None and clause.words and clause.words[0] in _LIMITS
    }
    return [None if number in limited else reading for number, reading in zip(numbers, readings, strict=True)]


def _sentences(clauses: Clauses) -> list[int]:
    """The number of the sentence in which each clause stands."""
    numbers: list[int] = []
    for clause in clauses:
        last = numbers[-1] if numbers else -1
        numbers.append(last + 1 if clause.joint is Joint.STOP else last)
    return numbers


def _negated(clauses: Clauses, readings: Readings) -> Readings:
    """ "Don't blur and sharpen the picture": what an "and" joins to a negation is negated with it."""
    kept: Readings = []
    negated = False
    for clause, reading in zip(clauses, readings, strict=True):
        negated = (negated and clause.joint is Joint.AND) or not _NEGATIONS.isdisjoint(clause.words)
        kept.append(None if negated else reading)
    return kept


def _pronouns(clauses: Clauses, readings: Readings) -> Readings:
    """ "It" is the picture only while nothing else has been spoken of just before."""
    kept: Readings = []
    spoken_of = False
    for clause, reading in zip(clauses, readings, strict=True):
        stands = None if reading and spoken_of and reading.reference == grammar.PRONOUN else reading
        spoken_of = stands is None and not _negates_only_the_picture(clause)
        kept.append(stands)
    return kept


def _negates_only_the_picture(clause: Clause) -> bool:
    words = tuple(word for word in clause.words if word not in _NEGATIONS and word != "do")
    return words != clause.words and grammar.read(msgspec.structs.replace(clause, words=words)) is not None


def _shared_before(clauses: Clauses, readings: Readings) -> Readings:
    """ "Make the sky darker and blurrier": an "and" carries the sky over to a clause that names nothing."""
    kept: Readings = []
    for clause, reading in zip(clauses, readings, strict=True):
        shares = clause.joint is Joint.AND and bool(kept) and kept[-1] is None
        kept.append(None if reading and shares and _names_nothing(reading) else reading)
    return kept


def _names_nothing(reading: grammar.Reading) -> bool:
    return reading.reference == grammar.IMPLIED and not isinstance(reading.operation, _SELF_STANDING)


def _shared_after(clauses: Clauses, readings: Readings) -> Readings:
    """ "Crop, blur and sharpen the dog": single words in a list share the object at its end."""
    kept = list(readings)
    withdrawn = False
    for at in range(len(clauses) - 2, -1, -1):
        joint = clauses[at + 1].joint
        reaches = (joint is Joint.AND and kept[at + 1] is None) or (joint is Joint.COMMA and withdrawn)
        withdrawn = reaches and len(clauses[at].words) == 1
        kept[at] = None if withdrawn else kept[at]
    return kept

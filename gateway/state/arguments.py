"""What the scripts are given, from the records: they open no document, so what they decide on is said beside it."""

from adapters.contract import Step
from gateway.state import keys
from gateway.state.budgets import amount
from gateway.state.documents import write_attempt, write_row
from gateway.state.entries import close_row
from gateway.state.records import AttemptRecord, AttemptState, EditRecord
from gateway.state.terms import Terms


def posting(attempt: AttemptRecord) -> str:
    step = attempt.call.step
    posts = step is Step.RESUBMIT or (step is Step.SUBMIT and attempt.state is AttemptState.INTENT)
    return "1" if posts else ""


def cost(attempt: AttemptRecord) -> str | int:
    """What an attempt cost; '' for one that is not settled."""
    charged = attempt.charged_micro
    return "" if charged is None else amount(charged)


def most(record: EditRecord) -> str | int:
    """What the edit may cost in all; '' is any sum."""
    most_micro = record.wish.max_cost_micro
    return "" if most_micro is None else most_micro


def open_edits(record: EditRecord) -> str:
    return keys.open_edits(record.team, record.key_id)


def money(record: EditRecord, attempt: AttemptRecord | None, terms: Terms) -> tuple[str | int, ...]:
    """Of an acceptance: hold, price, most, caps."""
    price = 0 if attempt is None else amount(attempt.price_micro)
    return max(price, terms.hold_micro), price, most(record), terms.caps.words()


def conditions(record: EditRecord, terms: Terms) -> tuple[str | int, ...]:
    """Of an acceptance: most open edits, the claim in four words, the refusal's key."""
    claim = terms.claim
    return (
        "" if terms.most_open is None else terms.most_open,
        *(("", "", "", "") if claim is None else (claim.name, claim.token, claim.fingerprint, claim.life_ms or "")),
        "" if terms.content is None else keys.refusal(record.team, terms.content),
    )


def closing(record: EditRecord, attempt: AttemptRecord | None) -> tuple[str | bytes | int, ...]:
    """Of the attempt that ends with its edit: number, state, document, cost, row."""
    if attempt is None:
        return "", "", "", "", ""
    row = write_row(close_row(record, attempt))
    return attempt.number, attempt.state, write_attempt(attempt), cost(attempt), row

"""Acceptances under way: `begun` here, and `in_doubt` where no reply of the store said whether they took effect."""

from gateway.state.records import EditRecord


class Entrance:
    def __init__(self) -> None:
        self.begun: set[str] = set()
        self.in_doubt: dict[str, EditRecord] = {}

    def __repr__(self) -> str:
        return f"Entrance({len(self.begun)} begun, {len(self.in_doubt)} in doubt)"

    def __contains__(self, edit: str) -> bool:
        return edit in self.begun or edit in self.in_doubt

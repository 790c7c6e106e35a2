from tests.end_to_end.stage import stage, theatre

__all__ = ["stage", "theatre"]

from tests.end_to_end.processes import field
from tests.end_to_end.stage import stage, theatre

__all__ = ["field", "stage", "theatre"]

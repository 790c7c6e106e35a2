from tests.end_to_end.processes import field
from tests.end_to_end.stage import stage, theatre
from tests.engine import engine_url

__all__ = ["engine_url", "field", "stage", "theatre"]

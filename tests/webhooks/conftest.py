from tests.end_to_end.stage import stage, theatre
from tests.engine import engine_url, store

__all__ = ["engine_url", "stage", "store", "theatre"]

from tests.engine_path.conftest import engine_url, pictures, stage

__all__ = ["engine_url", "pictures", "stage"]

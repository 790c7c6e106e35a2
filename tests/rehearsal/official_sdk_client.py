"""Runs one task through Runware's official SDK and prints what came of it as JSON. Needs an environment of its own."""
# pyright: reportMissingImports=false
# (`runware` is not a dependency of this project: the test makes an environment that has it.)

import asyncio
import json
import sys

from runware import Runware


async def main(url: str, key: str, task: dict[str, object]) -> dict[str, object]:
    client = Runware(api_key=key, transport="rest", http_base_url=url, max_retries=2, retry_delay=50)
    try:
        items = await client.run(task)
        return {"items": [dict(item) for item in items]}
    except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
        found = {name: getattr(error, name, None) for name in ("code", "status_code", "parameter", "task_uuid")}
        return {"error": found | {"type": type(error).__name__, "message": str(error)}}
    finally:
        for name in ("close", "disconnect"):
            if hasattr(client, name):
                await getattr(client, name)()
                break


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))), default=str))

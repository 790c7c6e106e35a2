"""The line to the real store: which steps went over it, and what a test wants to happen on the way."""

from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.state.scripts import Step, source

Hook = Callable[[], Awaitable[None]]


class StoreLine(Redis):
    """A client that notes every step that took effect. `before` and `after` a step something else can happen, and after
    a command by its name; while `away` is set, no command gets through."""

    def __init__(self, **rest: object) -> None:
        super().__init__(**rest)  # pyright: ignore[reportArgumentType] - handed on as they came
        self.steps: list[Step] = []
        self.before: dict[Step, Hook] = {}
        self.after: dict[Step | str, Hook] = {}
        self.away = False
        self._names: dict[str, Step] = {}

    def register_script(self, script):
        found = super().register_script(script)
        name = next(step for step in Step if str(script).endswith(source(step)))
        self._names[found.sha] = name
        return found

    def pipeline(self, *args, **options):
        if self.away:
            raise RedisConnectionError("the store is away")
        return super().pipeline(*args, **options)

    async def execute_command(self, *args, **options):
        step = self._names.get(args[1]) if args[0] == "EVALSHA" else None
        if step and step in self.before:
            await self.before.pop(step)()
        if self.away:
            raise RedisConnectionError("the store is away")
        answer = await super().execute_command(*args, **options)
        if step is not None:
            self.steps.append(step)
        if (what := step or args[0]) in self.after:
            await self.after.pop(what)()
        return answer

"""Things done side by side, so many at once, each waited for in a step of its own."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

from metal.model.errors import MetalError

T = TypeVar("T")


class Abreast(Generic[T]):
    """`tasks` in their order: whoever asks for one lets the next ones set out, too."""

    def __init__(self, crew: Executor, at_once: int, tasks: Mapping[str, Callable[[], T]]) -> None:
        self._crew, self._at_once, self._tasks = crew, at_once, tasks
        self._order = list(tasks)
        self._under_way: dict[str, Future[T]] = {}

    def result(self, name: str) -> T:
        """What came of it. One that failed sets out again when it is asked for again."""
        first = self._order.index(name)
        for ahead in self._order[first : first + self._at_once]:
            if ahead not in self._under_way:
                self._under_way[ahead] = self._crew.submit(self._tasks[ahead])
        try:
            return self._under_way[name].result()
        except MetalError:
            del self._under_way[name]
            raise

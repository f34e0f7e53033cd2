"""Lets slow work be done beside the screen, which goes on answering keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from textual.css.query import NoMatches

T = TypeVar("T")


async def beside(work: Callable[[], T], *, finish: bool = False) -> T:
    """Do work in a thread of its own and return what it returns. `finish`: leaving waits for it; else it is left in the middle.

    asyncio's own threads would keep a program from ending for as long as a cluster does not answer.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            found = work()
        except BaseException as error:
            _tell(loop, answer, error=error)
        else:
            _tell(loop, answer, found=found)

    threading.Thread(target=run, daemon=not finish, name="mrsweep-live").start()
    return await answer


def _tell(
    loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], *, found: T | None = None, error: BaseException | None = None
) -> None:
    def settle() -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)  # type: ignore[arg-type]

    with suppress(RuntimeError):  # the screen is closed, nobody waits any more
        loop.call_soon_threadsafe(settle)


async def while_open(work: Coroutine[Any, Any, None]) -> None:
    """Do what fills a screen; the screen may be closed, and lose its parts, while something is read for it."""
    with suppress(NoMatches):
        await work

"""From a key to a deed: what it would do is asked, and done beside the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.live.confirm import Confirm
from orchestrator.live.deeds import PLANS, Plan
from orchestrator.live.reading import GridReader
from orchestrator.live.threads import beside, while_open
from orchestrator.live.words import Words
from orchestrator.store.errors import MrsweepError

if TYPE_CHECKING:
    from textual.screen import Screen

    Base = Screen[None]
else:
    Base = object


class Acting(Base):
    """Part of the screen of runs: carries out one deed at a time."""

    reader: GridReader
    words: Words
    marked: set[str]
    _acting = False

    def say(self, text: str) -> None:
        """Show a sentence."""
        raise NotImplementedError

    def look_at_once(self) -> None:
        """Show what has become of it."""
        raise NotImplementedError

    def act(self, name: str, runs: Sequence[str]) -> None:
        """Ask whether to requeue, cancel or prune runs, and do it."""
        if self._acting:
            self.say("one thing at a time: the last is not done yet")
        elif runs:
            self._acting = True
            self.run_worker(while_open(self._carry_out(PLANS[name], runs)))

    async def _carry_out(self, plan: Plan, runs: Sequence[str]) -> None:
        try:
            self.say("looking what that would do …")
            deed = await beside(lambda: plan(self.reader.paths, self.reader.profile, runs, self.words))
            self.say("")
            agreed = await self.app.push_screen_wait(Confirm(deed.question, possible=deed.do is not None))
            if agreed and deed.do is not None:
                self.say("doing it …")
                self.say(await beside(deed.do, finish=True))
                self.marked.clear()
                self.look_at_once()
        except (MrsweepError, OSError) as error:
            self.say(str(error))
        finally:
            self._acting = False

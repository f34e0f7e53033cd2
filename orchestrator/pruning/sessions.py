"""Which TensorBoard files are one run and which are of a script that ran again, and which of these is the most complete (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from orchestrator.pruning.event_files import Content


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What one writer left: a file of the top folder, and those of the sub-folders that belong to it (add_scalars makes these)."""

    name: str
    """The file of the top folder; a name, for messages."""
    contents: dict[str, Content]
    """Path → what the file holds."""
    is_live: bool = False
    """Somebody may still write to it."""

    @property
    def began_at(self) -> float:
        return min(content.began_at for content in self.contents.values())

    @property
    def first_at(self) -> float:
        return min(content.first_at for content in self.contents.values())

    @property
    def last_at(self) -> float:
        return max(content.last_at for content in self.contents.values())

    @property
    def first_step(self) -> int:
        return min((step for content in self._telling if (step := content.first_step) is not None), default=0)

    @property
    def last_step(self) -> int:
        return max((step for content in self._telling if (step := content.last_step) is not None), default=-1)

    @property
    def scalars(self) -> int:
        return sum(content.scalars for content in self.contents.values())

    @property
    def values(self) -> int:
        return sum(content.values for content in self.contents.values())

    @property
    def _telling(self) -> list[Content]:
        """The files whose steps count: those with scalars, where there are any."""
        with_scalars = [content for content in self.contents.values() if content.scalars]
        return with_scalars or list(self.contents.values())

    def tags(self) -> set[tuple[str, str]]:
        """Return what it writes: folder and tag."""
        return {(path.rpartition("/")[0], tag) for path, content in self.contents.items() for tag in content.tags}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the sessions of one folder and its sub-folders."""

    moved: dict[str, str] = {}
    """Session → why it is not the one to keep."""
    kept: tuple[str, ...] = ()
    """Why several stay, a sentence each."""


class Told(msgspec.Struct, kw_only=True):
    """One telling of a run: sessions that continue each other."""

    sessions: list[Session]

    @property
    def rank(self) -> tuple[float, int, int, float]:
        """The more complete, the larger: last step, number of scalars, of all values; of equal ones the newer."""
        last = max(session.last_step for session in self.sessions)
        scalars, values = (sum(getattr(session, name) for session in self.sessions) for name in ("scalars", "values"))
        return (last, scalars, values, self.sessions[0].began_at)

    @property
    def text(self) -> str:
        last, scalars, _, _ = self.rank
        return f"step {last:,}, {scalars:,} scalar{'s' * (scalars != 1)}"


def judge(sessions: Iterable[Session]) -> Verdict:
    """Decide which sessions are superseded.

    One that begins again at or before the first step of an earlier one, with tags in common, is the same script run again: the
    more complete of the two is kept. One that begins at a later step goes on where the earlier one was interrupted; one with
    other tags, and one that was written at the same time, belongs beside it: these are all kept.
    """
    ordered = sorted(sessions, key=lambda session: (session.began_at, session.name))
    filled = [session for session in ordered if session.values]
    moved = {session.name: "it holds no values" for session in ordered if not session.values and not session.is_live} if filled else {}
    kept: list[str] = []
    for group in _groups(filled, kept):
        tellings = _tellings(group, kept)
        if len(tellings) > 1:
            moved |= _superseded(tellings, kept)
    return Verdict(moved=moved, kept=tuple(kept))


def _groups(sessions: Sequence[Session], kept: list[str]) -> list[list[Session]]:
    """Divide sessions into groups that have tags in common."""
    groups: list[tuple[set[tuple[str, str]], list[Session]]] = []
    for session in sessions:
        tags = session.tags()
        mine = next((group for group in groups if group[0] & tags), None)
        if mine is not None:
            mine[0].update(tags)
            mine[1].append(session)
            continue
        if groups:
            kept.append(f"{session.name} has none of the tags of the others: it is no re-run")
        groups.append((tags, [session]))
    return [group for _, group in groups]


def _tellings(group: Sequence[Session], kept: list[str]) -> list[Told]:
    """Divide sessions with tags in common into tellings, oldest first."""
    tellings: list[Told] = []
    for session in group:
        last = tellings[-1] if tellings else None
        if last is not None and session.first_at < last.sessions[-1].last_at:
            kept.append(f"{session.name} was written at the same time as {last.sessions[-1].name}: two writers of one run")
            last.sessions.append(session)
        elif last is not None and session.first_step > last.sessions[0].first_step:
            kept.append(f"{session.name} goes on at step {session.first_step:,}: it resumes {last.sessions[-1].name}")
            last.sessions.append(session)
        else:
            tellings.append(Told(sessions=[session]))
    return tellings


def _superseded(tellings: Sequence[Told], kept: list[str]) -> dict[str, str]:
    live = next((session for telling in tellings for session in telling.sessions if session.is_live), None)
    if live is not None:
        kept.append(f"{live.name} may still be written to: nothing beside it is moved")
        return {}
    best = max(tellings, key=lambda telling: telling.rank)
    return {session.name: _why(telling, best) for telling in tellings if telling is not best for session in telling.sessions}


def _why(telling: Told, best: Told) -> str:
    name = best.sessions[0].name
    if telling.rank[:3] == best.rank[:3]:
        return f"{name} is as complete ({best.text}), and newer"
    return f"{name} is more complete: {best.text}; this one: {telling.text}"

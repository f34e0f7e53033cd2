"""Which of several event files is the run, which is an aborted start of it, and which belongs beside it."""

from __future__ import annotations

import pytest

from orchestrator.pruning.event_files import Content
from orchestrator.pruning.sessions import Session, judge


def session(
    name: str, steps: tuple[int, int] | None, at: tuple[float, float], *, scalars: int = 10, tags: str = "loss", live: bool = False
) -> Session:
    """Return a writer that logged the tags from step to step in that time."""
    if steps is None:
        return Session(name=name, contents={name: Content(began_at=at[0])}, is_live=live)
    content = Content(
        began_at=at[0],
        first_at=at[0],
        last_at=at[1],
        first_step=steps[0],
        last_step=steps[1],
        scalars=scalars,
        values=scalars,
        tags=frozenset(tags.split()),
    )
    return Session(name=name, contents={name: content}, is_live=live)


A = session("a", (0, 50), (1, 2))
CASES = {
    "a re-run that came further": ([A, session("b", (0, 90), (3, 4))], ["a"]),
    "a re-run that was aborted": ([A, session("b", (0, 9), (3, 4))], ["b"]),
    "as far, with more scalars": ([A, session("b", (0, 50), (3, 4), scalars=11)], ["a"]),
    "as complete: the newer stays": ([A, session("b", (0, 50), (3, 4))], ["a"]),
    "three tries": ([A, session("b", (0, 90), (3, 4)), session("c", (0, 60), (5, 6))], ["a", "c"]),
    "a resumed run": ([A, session("b", (51, 90), (3, 4))], []),
    "resumed from a checkpoint before its end": ([A, session("b", (30, 90), (3, 4))], []),
    "a resumed run, and a re-run of less": ([A, session("b", (51, 90), (3, 4)), session("c", (0, 60), (5, 6))], ["c"]),
    "a resumed run, and a re-run of more": ([A, session("b", (51, 90), (3, 4)), session("c", (0, 99), (5, 6))], ["a", "b"]),
    "a re-run that was resumed": ([A, session("b", (0, 40), (3, 4)), session("c", (41, 99), (5, 6))], ["a"]),
    "two writers at a time": ([A, session("b", (0, 50), (1.5, 2.5))], []),
    "other tags": ([A, session("b", (0, 90), (3, 4), tags="lr momentum")], []),
    "some tags in common": ([A, session("b", (0, 90), (3, 4), tags="lr loss")], ["a"]),
    "an empty one": ([A, session("b", None, (3, 4))], ["b"]),
    "an empty one that is being written": ([A, session("b", None, (3, 4), live=True)], []),
    "empty ones alone": ([session("a", None, (1, 2)), session("b", None, (3, 4))], []),
    "a re-run that is being written": ([A, session("b", (0, 9), (3, 4), live=True)], []),
    "equal steps that go down": ([session("a", (5, 5), (1, 2)), session("b", (3, 3), (3, 4))], ["b"]),
    "one": ([A], []),
    "none": ([], []),
}


@pytest.mark.parametrize(("sessions", "moved"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("turn", [1, -1])
def test_superseded_are_the_less_complete_tellings_of_one_run(sessions: list[Session], moved: list[str], turn: int) -> None:
    assert sorted(judge(sessions[::turn]).moved) == moved


def test_pictures_of_a_sub_folder_say_nothing_of_how_far_a_run_came() -> None:
    pictures = Content(began_at=3, first_at=3, last_at=4, first_step=0, last_step=999, values=50, tags=frozenset({"picture"}))
    aborted = session("b", (0, 9), (3, 4))
    aborted.contents["b/pictures"] = pictures
    assert list(judge([A, aborted]).moved) == ["b"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (session("b", (51, 90), (3, 4)), "b goes on at step 51: it resumes a"),
        (session("b", (0, 50), (1.5, 2.5)), "b was written at the same time as a: two writers of one run"),
        (session("b", (0, 90), (3, 4), tags="lr"), "b has none of the tags of the others: it is no re-run"),
        (session("b", (0, 9), (3, 4), live=True), "b may still be written to: nothing beside it is moved"),
    ],
)
def test_why_both_stay_is_said(other: Session, told: str) -> None:
    assert judge([A, other]).kept == (told,)


def test_why_one_moves_names_both_steps_and_numbers_of_scalars() -> None:
    [why] = judge([A, session("b", (0, 9), (3, 4), scalars=2)]).moved.values()
    assert why == "a is more complete: step 50, 10 scalars; this one: step 9, 2 scalars"

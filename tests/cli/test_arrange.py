"""Tables in a narrow terminal: the metric stays, a state loses its cause before it loses letters."""

from __future__ import annotations

from orchestrator.cli.show import PADDING, arrange

COLUMNS = ["id", *(f"key{place}" for place in range(8)), "val/ssim", "step"]
ROWS = [["1234abcd", *(f"value number {place}" for place in range(8)), "0.8760", "12"]]
SHRINK = {f"key{place}": 9 for place in range(8)}


def test_the_needed_column_stays_where_the_keys_have_no_room() -> None:
    shown, cells, dropped = arrange(COLUMNS, ROWS, 80, SHRINK, "val/ssim")
    assert (shown, dropped) == (["id", "key0", "key1", "key2", "key3", "val/ssim"], 5)  # 11 + 4 * 12 + 11 = 70
    assert cells[0][-1] == "0.8760"
    assert sum(len(cell) + PADDING for cell in cells[0]) <= 80
    assert "val/ssim" not in arrange(COLUMNS, ROWS, 80, SHRINK)[0]


def test_where_all_have_room_the_needed_column_changes_nothing() -> None:
    assert arrange(COLUMNS, ROWS, 300, SHRINK, "val/ssim") == arrange(COLUMNS, ROWS, 300, SHRINK)
    assert arrange(COLUMNS, ROWS, 80, SHRINK, "gone") == arrange(COLUMNS, ROWS, 80, SHRINK)


def test_a_state_is_cut_before_its_cause() -> None:
    rows = [["completed", "a (b)bbbbbbbb"], ["failed (host_oom)", "short"]]
    _, cells, _ = arrange(["state", "note"], rows, 23, {"state": 9, "note": 8})
    assert cells == [["completed", "a (b)bb…"], ["failed", "short"]]
    assert arrange(["state", "note"], rows, 80, {"state": 9})[1][1][0] == "failed (host_oom)"

"""A whole campaign on this machine, from launch to the last message, with real servers for mail and web."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Project, poll
from tests.cli.conftest import project as project
from tests.messages.conftest import PASSWORD, Mailbox, Webhook, free_port

pytestmark = pytest.mark.journey

ENTRY = """
import time

def train(config, run):
    run.report(1, loss=1 / config["x"])
    time.sleep(0.2)
    if config["x"] > 4:
        raise ValueError(f"no such x: {config['x']}")
    return {"loss": 1 / config["x"]}
"""


@pytest.fixture
def addresses(project: Project, tmp_path: Path) -> Path:
    """The file of addresses that the project's commands read."""
    file = tmp_path / "config" / "mrsweep" / "notify"
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    project.environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    return file


def write_grid(project: Project, notify: str, xs: str = "[1, 2, 3, 4, 5, 6, 7]") -> str:
    project.write("study.py", ENTRY)
    return str(
        project.write(
            "grids/g.yaml",
            "# Question: which x is best?\nname: g\nentry: study:train\npreload: []\nresources: {mem_gb: 1, max_parallel: 2}\n"
            f"metrics: {{objective: loss, mode: min}}\nnotify: {notify}\nconfig: {{x: 1}}\ngrid: {{x: {xs}}}\n",
        )
    )


def test_a_campaign_is_told_by_mail_and_web_and_no_password_is_kept(
    project: Project, addresses: Path, mailbox: Mailbox, webhook: Webhook
) -> None:
    addresses.write_text(f"lab {mailbox.url}\nhook {webhook.url}\n")
    launched = project.ok("launch", write_grid(project, "{every_min: 1}"), "--profile", "quick", "--yes")
    assert mailbox.subjects == webhook.titles == ["[mrsweep] g: started, 7 runs"]
    watched = project.watch()
    assert sorted(mailbox.subjects) == sorted(webhook.titles)
    start, *digests, end = webhook.titles
    assert (start, end) == ("[mrsweep] g: started, 7 runs", "[mrsweep] g: ended, 4 completed, 3 failed")
    assert len(digests) <= 2 and all(" failed, 1 cause" in subject for subject in digests)
    assert "which x is best?" in webhook.posts[-1]["message"]
    assert "  0.25 " in webhook.posts[-1]["message"] and "x=4" in webhook.posts[-1]["message"]
    project.ok("summary", "g", "-o", "summary.csv")
    assert webhook.table(-1) == (project.folder / "summary.csv").read_text()
    (attached,) = mailbox.mails[-1].iter_attachments()
    assert attached.get_payload(decode=True) == (project.folder / "summary.csv").read_bytes()
    kept = [content.decode(errors="replace") for content in project.tree().values()]
    assert not [text for text in (*kept, launched.out, launched.err, watched.out, watched.err) if PASSWORD in text or mailbox.url in text]


def test_servers_that_fail_change_no_exit_code_and_no_state(project: Project, addresses: Path) -> None:
    addresses.write_text(f"lab mailto://127.0.0.1:{free_port()}?from=a@example.org&to=b@example.org&name={PASSWORD}\n")
    launched = project.ok("launch", write_grid(project, "digest", "[1, 2]"), "--profile", "quick", "--yes")
    assert "message start-1: not delivered to lab: Connection refused; tried again later" in launched.out
    poll(lambda: project.ok("watch", "g", "--once", "--json").document["counts"] == {"completed": 2})
    told = project.ok("watch", "g", "--once").out
    assert PASSWORD not in launched.out + launched.err + told


def test_addresses_that_others_can_read_are_told_once_and_nothing_breaks(project: Project, addresses: Path, webhook: Webhook) -> None:
    addresses.write_text(f"hook {webhook.url}\n")
    addresses.chmod(0o644)
    launched = project.ok("launch", write_grid(project, "{on: [start]}", "[1, 2]"), "--profile", "quick", "--yes")
    assert f"chmod 600 {addresses}" in launched.out
    assert "chmod" not in project.watch().out
    assert (webhook.posts, project.counts()) == ([], {"completed": 2})


def test_a_run_does_not_see_the_addresses(project: Project, webhook: Webhook) -> None:
    project.environment["MRSWEEP_NOTIFY"] = webhook.url
    project.write("show.py", "import os\n\ndef train(config, run):\n    print(dict(os.environ))\n    return {'x': 1}\n")
    project.write("grids/g.yaml", "name: g\nentry: show:train\npreload: []\nresources: {mem_gb: 1}\nnotify: digest\nconfig: {x: 1}\n")
    project.ok("launch", "grids/g.yaml", "--profile", "quick", "--yes")
    project.watch()
    alone = project.ok("run", "show:train", "--set", "x=1")
    assert webhook.titles == ["[mrsweep] g: started, 1 run", "[mrsweep] g: ended, 1 completed"]
    texts = [*(content.decode(errors="replace") for content in project.tree().values()), alone.out, alone.err]
    assert any("PATH" in text for text in texts)
    assert not [text for text in texts if PASSWORD in text]


def test_doctor_sends_a_test_message_to_each_address(project: Project, addresses: Path, mailbox: Mailbox, webhook: Webhook) -> None:
    done = project.run("doctor", "--profile", "quick", "--message", "--json")
    told = {fact["name"]: fact for fact in done.document["facts"]}
    assert (done.code, told["messages"]["verdict"]) == (1, "bad")
    assert str(addresses) in told["messages"]["advice"]
    webhook.status = 403
    addresses.write_text(f"lab {mailbox.url}\nhook {webhook.url}\n")
    done = project.run("doctor", "--profile", "quick", "--message", "--json")
    told = {fact["name"]: fact for fact in done.document["facts"]}
    assert (done.code, told["message to lab"]["verdict"], told["message to hook"]["value"]) == (1, "ok", "the server answered 403")
    assert mailbox.subjects == ["[mrsweep] a test message to lab"]
    assert PASSWORD not in done.out + done.err

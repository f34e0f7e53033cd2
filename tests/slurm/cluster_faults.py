"""What can befall the test cluster: daemons that hang or die, nodes and partitions that go, a controller that forgets."""

from __future__ import annotations

import contextlib
import shutil
import signal
from pathlib import Path

from tests.slurm.cluster_config import Site
from tests.slurm.cluster_process import ClusterDown, Daemon, job_processes_of, send, step_daemons_of, wait_until

USABLE = ("idle", "mixed", "allocated")
"""States of a node that takes jobs, in sinfo's words."""
SOUND_EPILOG, BROKEN_EPILOG = "Epilog=/bin/true", "Epilog=/bin/false"


class Faults:
    """The faults of a cluster, and how each is mended."""

    folder: Path
    daemons: dict[str, Daemon]
    site: Site

    # --- daemons

    def freeze(self, name: str) -> None:
        """Stop a daemon in its tracks: connections are taken, nothing is answered."""
        self.daemons[name].signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen daemon go on."""
        self.daemons[name].signal(signal.SIGCONT)

    def kill(self, name: str) -> None:
        """End a daemon with SIGKILL: what it had not saved is forgotten."""
        self.daemons[name].kill()

    def stop(self, name: str) -> None:
        """End a daemon in an orderly way."""
        self.daemons[name].stop()

    def start(self, name: str) -> None:
        """Start a daemon that was ended, and wait until what it serves answers."""
        self.daemons[name].start()
        if name in ("mariadbd", "slurmdbd"):
            self._await("slurmdbd", self._accounting_answers)
        else:
            self._await_answer()

    def await_saved(self, since: float) -> None:
        """Wait until the controller has saved what it took at `since`: it does so seconds after its answer."""
        kept = self.folder / "state" / "job_state"
        wait_until(lambda: kept.exists() and kept.stat().st_mtime > since, within_s=30, what="the controller's state on disk")

    def forget_jobs(self) -> None:
        """Let the controller lose all that it had saved: it knows no job, and hands out job ids from the first one again."""
        self.kill("slurmctld")
        state = self.folder / "state"
        shutil.rmtree(state)
        state.mkdir()
        self.start("slurmctld")
        wait_until(self._is_usable, within_s=60, what="nodes after the loss of all state")

    # --- nodes and partitions

    def lose_node(self, node: str) -> None:
        """Lose a node: its slurmd and its job steps die and slurmctld takes it for down, but what its jobs ran lives on."""
        self.daemons[node].kill()
        for pid in step_daemons_of(self.folder, node):
            send(pid, signal.SIGKILL)
        self.command("scontrol", "update", f"nodename={node}", "state=down", "reason=lost by a test")

    def return_node(self, node: str, *, rebooted: bool = True) -> None:
        """Bring a lost or drained node back and wait until it takes jobs; `rebooted` ends what a lost one's old jobs left running."""
        daemon = self.daemons[node]
        if daemon.pid() is None and rebooted:
            for pid in job_processes_of(self.folder, node):
                send(pid, signal.SIGKILL)
        daemon.start()
        if self.node_states().get(node) not in (*USABLE, "completing"):
            with contextlib.suppress(ClusterDown):  # refused when slurmd registered meanwhile
                self.command("scontrol", "update", f"nodename={node}", "state=resume")
        wait_until(lambda: self.node_states().get(node) in USABLE, within_s=40, what=f"return of node {node}")

    def drain_node(self, node: str) -> None:
        """Let a node take no more jobs, as an administrator does before a repair; what runs there goes on."""
        self.command("scontrol", "update", f"nodename={node}", "state=drain", "reason=drained by a test")

    def close_partition(self, name: str = "gpu") -> None:
        """Take a partition down: jobs are queued there and do not start, what runs goes on."""
        self.command("scontrol", "update", f"partitionname={name}", "state=down")

    def open_partition(self, name: str = "gpu") -> None:
        """Bring a partition up again."""
        self.command("scontrol", "update", f"partitionname={name}", "state=up")

    def break_epilogs(self) -> None:
        """Let the epilog of every job fail: Slurm then drains the node on which it ran."""
        self._set_epilog(BROKEN_EPILOG)

    def mend(self) -> None:
        """Take back what an administrator changed: partitions are up, epilogs succeed."""
        for name in ("gpu", "high"):
            self.open_partition(name)
        self._set_epilog(SOUND_EPILOG)

    def _is_usable(self) -> bool:
        return all(word in USABLE for word in self.node_states().values())

    def _set_epilog(self, line: str) -> None:
        text = self.site.conf.read_text()
        if line not in text:
            self.site.conf.write_text(text.replace(BROKEN_EPILOG, line).replace(SOUND_EPILOG, line))
            self.command("scontrol", "reconfigure")
            shown = line.replace("Epilog=", "Epilog                  = ")
            wait_until(lambda: shown in self.command("scontrol", "show", "config"), within_s=20, what=line)

"""A real Slurm on this machine, for tests: slurmctld, slurmdbd and four virtual nodes, all in one folder.

Run as a file, it takes one word:

    python tests/slurm/cluster.py install     the Debian packages it needs (root only)
    python tests/slurm/cluster.py up          start it, and print the line that points Slurm's commands to it
    python tests/slurm/cluster.py status      say whether it answers
    python tests/slurm/cluster.py reset       cancel every job, bring every daemon and node back
    python tests/slurm/cluster.py down        stop it and remove its folder
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # run as a file: find the neighbours under the names that pytest knows them by
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.slurm.cluster_config import CLUSTER, GPUS_PER_NODE, NODES, Site, config_files, mariadb_argv, munged_argv
from tests.slurm.cluster_faults import Faults
from tests.slurm.cluster_machine import clear_cgroups, first_free_port, has_memory_cgroups, install_packages, missing_programs, program
from tests.slurm.cluster_process import (
    POLL_S,
    SLURM_PREFIXES,
    ClusterDown,
    Daemon,
    processes_of,
    run_quietly,
    send,
    start_ticks,
    wait_until,
    without_slurm,
)

FOLDERS = ("etc", "munge", "database", "run", "log", "state", "spool", "dev", "users")


class Cluster(Faults):
    """The test cluster in `folder`: brought up once, shared by all who ask for it.

    `memory_limits=False` leaves control groups alone even where they could be used.
    Raises ClusterDown wherever it cannot do what it is asked.
    """

    def __init__(self, folder: Path | None = None, *, memory_limits: bool = True) -> None:
        self.folder = (folder or default_folder()).absolute()
        self._want_limits = memory_limits

    # --- up and down

    def up(self) -> bool:
        """Bring the cluster up, to stay until `down`; return False when it was up already."""
        with self._locked():
            started = self._ensure_up()
            (self.folder / "keep").touch()
            return started

    def down(self) -> None:
        """End everything that belongs to this cluster, and remove its folder. Nothing there is no error."""
        with self._locked():
            self._end()
            shutil.rmtree(self.folder, ignore_errors=True)

    def join(self) -> None:
        """Use the cluster together with others; bring it up if it is not."""
        with self._locked():
            self._ensure_up()
            self._seat().write_text(f"{start_ticks(os.getpid())}")

    def leave(self) -> None:
        """Stop using it: the last to leave cancels every job, and takes it down unless `up` asked for it to stay."""
        with self._locked():
            self._seat().unlink(missing_ok=True)
            if self._is_used():
                return
            if (self.folder / "keep").exists():
                self.reset()
                return
            self._end()
            shutil.rmtree(self.folder, ignore_errors=True)

    def reset(self) -> None:
        """Cancel every job, lift the limits set by tests, bring back every daemon and node, wait until all nodes idle."""
        for daemon in self.daemons.values():
            daemon.signal(signal.SIGCONT)
            daemon.start()
        self._await_answer()
        self._await("slurmdbd", self._accounting_answers)
        self.limit_submissions(None)
        self.mend()
        self.command("scancel", "--user=root", "--full")
        for node in NODES:
            self.return_node(node)
        wait_until(lambda: self.node_states() == dict.fromkeys(NODES, "idle"), within_s=60, what="all nodes idle")

    def is_up(self) -> bool:
        """Say whether every daemon lives and the controller answers."""
        if not (self.folder / "ready").is_file():
            return False
        return all(daemon.pid() is not None for daemon in self.daemons.values()) and bool(self.node_states())

    # --- use

    @property
    def conf(self) -> Path:
        """The file that SLURM_CONF names."""
        return self.site.conf

    @property
    def env(self) -> dict[str, str]:
        """What a process needs in its environment to talk to this cluster."""
        return {"SLURM_CONF": str(self.conf)}

    @property
    def memory_limits(self) -> bool:
        """Whether jobs are held to their memory; False where cgroup v1 is not there."""
        return self.site.memory_limits

    @property
    def site(self) -> Site:
        """What was decided when the cluster was started."""
        try:
            kept = json.loads((self.folder / "site.json").read_text())
        except (OSError, ValueError) as error:
            raise ClusterDown(f"{self.folder}: no test cluster here. Start it with: make slurm-up") from error
        return Site(folder=self.folder, **kept)

    def command(self, *argv: str, timeout_s: float = 60) -> str:
        """Run one of Slurm's commands against this cluster and return what it printed."""
        return run_quietly(argv, without_slurm(os.environ) | self.env, timeout_s=timeout_s)

    def node_states(self) -> dict[str, str]:
        """Return node → state in sinfo's words (`idle`, `mixed`, `down*` …); empty when slurmctld does not answer."""
        try:
            lines = self.command("sinfo", "-h", "-N", "-p", "gpu", "-o", "%N %T", timeout_s=15).splitlines()
        except ClusterDown:
            return {}
        return dict(line.split() for line in lines)

    def limit_submissions(self, most: int | None) -> None:
        """Set MaxSubmitJobs of this user, or lift it; on return the controller knows it."""
        self.command("sacctmgr", "-i", "modify", "user", "root", "set", f"maxsubmitjobs={-1 if most is None else most}")
        shown = "MaxSubmitJobs=" + ("" if most is None else f"{most}(")

        def known() -> bool:
            return shown in self.command("scontrol", "show", "assoc_mgr", "users=root", "flags=assoc")

        wait_until(known, within_s=10, what=f"{shown} in the controller")

    # --- how it is made

    @property
    def daemons(self) -> dict[str, Daemon]:
        """Every daemon by name, in the order in which they start."""
        site, conf = self.site, str(self.conf)
        argvs = {
            "munged": munged_argv(program("munged"), site),
            "mariadbd": mariadb_argv(program("mariadbd"), site),
            "slurmdbd": (program("slurmdbd"), "-D"),
            "slurmctld": (program("slurmctld"), "-D", "-f", conf),
        } | {node: (program("slurmd"), "-D", "-N", node, "-f", conf) for node in NODES}
        return {name: self._daemon(name, argv, site) for name, argv in argvs.items()}

    def _daemon(self, name: str, argv: tuple[str, ...], site: Site) -> Daemon:
        marks = {"MRSWEEP_SLURM_DAEMON_OF": str(self.folder), "MRSWEEP_SLURM_NODE": name}
        env = {"SLURM_CONF": str(site.conf), "MYSQL_UNIX_PORT": str(site.database_socket)} | marks
        return Daemon(name=name, argv=argv, run_dir=self.folder / "run", log_dir=self.folder / "log", env=env)

    def _ensure_up(self) -> bool:
        if self.is_up():
            return False
        if self._is_used():  # broken by a test, and others are at work: mend it, do not start over
            self.reset()
            return False
        if not re.fullmatch(r"[\w/.+-]{1,90}", str(self.folder)):
            raise ClusterDown(f"{self.folder}: slurm.conf can hold no space, quote or comma, and a socket's path 107 bytes. Choose --dir")
        if missing := missing_programs():
            raise ClusterDown(f"not installed here: {', '.join(missing)}. As root: python tests/slurm/cluster.py install")
        if os.getuid() != 0:
            raise ClusterDown("the test cluster needs root: its daemons start jobs and set memory limits")
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lay_out()
        try:
            self._start()
        except BaseException:
            self._end()  # the folder stays: its logs tell why
            raise
        return True

    def _lay_out(self) -> None:
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True)
        kept = {
            "host": socket.gethostname().split(".")[0],
            "port": first_free_port(self.folder),
            "memory_limits": self._want_limits and has_memory_cgroups(),
        }
        (self.folder / "site.json").write_text(json.dumps(kept))
        for name, text in config_files(self.site).items():
            (self.folder / "etc" / name).write_text(text)
        (self.folder / "etc" / "slurmdbd.conf").chmod(0o600)  # slurmdbd insists
        for number in range(GPUS_PER_NODE):
            (self.folder / "dev" / f"gpu{number}").symlink_to("/dev/null")  # slurmd insists on a device
        (self.folder / "munge" / "key").touch(mode=0o600)
        (self.folder / "munge" / "key").write_bytes(os.urandom(128))

    def _start(self) -> None:
        site, daemons = self.site, self.daemons
        daemons["munged"].start()
        install = (program("mariadb-install-db"), "--no-defaults", "--user=root", f"--datadir={site.folder}/database/data")
        run_quietly((*install, "--auth-root-authentication-method=normal", "--skip-test-db"), {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        daemons["mariadbd"].start()
        self._await("munged", site.munge_socket.exists)
        self._await("mariadbd", site.database_socket.exists)
        daemons["slurmdbd"].start()
        self._await("slurmdbd", self._accounting_answers)
        self.command("sacctmgr", "-i", "add", "cluster", CLUSTER)
        for name in ("slurmctld", *NODES):
            daemons[name].start()
        self._await("slurmctld", lambda: bool(self.node_states()))
        for node in NODES:
            self._await(node, partial(self._is_idle, node))
        (self.folder / "ready").touch()

    def _await(self, name: str, truth: Callable[[], bool], *, within_s: float = 60) -> None:
        """Wait for what a starting daemon has to bring about; when it does not, say its last words."""
        daemon = self.daemons[name]
        deadline = time.monotonic() + within_s
        while not truth():
            if daemon.pid() is None or time.monotonic() > deadline:
                why = "ended" if daemon.pid() is None else f"was not ready within {within_s:g} s"
                raise ClusterDown(f"{name} {why}; its log ends so:\n{daemon.last_words()}")
            time.sleep(POLL_S)

    def _is_idle(self, node: str) -> bool:
        return self.node_states().get(node) == "idle"

    def _await_answer(self) -> None:
        wait_until(lambda: bool(self.node_states()), within_s=60, what="answer of slurmctld")

    def _accounting_answers(self) -> bool:
        try:
            self.command("sacctmgr", "-n", "list", "cluster", timeout_s=15)
        except ClusterDown:
            return False
        return True

    def _end(self) -> None:
        """Kill every process of this folder, whatever state it is in, and clear its control groups."""

        def all_gone() -> bool:
            alive = [*processes_of(self.folder)]
            for pid in alive:
                send(pid, signal.SIGKILL)
            return not alive

        wait_until(all_gone, within_s=30, what=f"end of the processes of {self.folder}")
        clear_cgroups()
        (self.folder / "ready").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time brings this cluster up or down."""
        with open(f"{self.folder}.lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _seat(self) -> Path:
        return self.folder / "users" / str(os.getpid())

    def _is_used(self) -> bool:
        return any(start_ticks(int(seat.name)) == seat.read_text() for seat in (self.folder / "users").glob("*"))


def default_folder() -> Path:
    """Return the folder that all share who name none."""
    return Path(f"/tmp/mrsweep-slurm-{os.getuid()}")


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("install", "up", "status", "reset", "down"))
    parser.add_argument("--dir", type=Path, default=default_folder(), help="the cluster's folder (default: %(default)s)")
    parser.add_argument("--no-memory-limits", action="store_true", help="leave control groups alone")
    chosen = parser.parse_args(arguments)
    cluster = Cluster(chosen.dir, memory_limits=not chosen.no_memory_limits)
    try:
        print(_do(chosen.verb, cluster))
    except ClusterDown as error:
        print(f"slurm test cluster: {error}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def entered() -> Iterator[Cluster]:
    """Join the cluster, alone and idle, with SLURM_CONF set for this process and nothing else of Slurm's; leave it idle."""
    cluster = Cluster()
    cluster.join()
    for key in [key for key in os.environ if key.startswith(SLURM_PREFIXES)]:
        del os.environ[key]
    os.environ["SLURM_CONF"] = str(cluster.conf)
    try:
        cluster.reset()
        yield cluster
    finally:
        cluster.reset()
        cluster.leave()


def _do(verb: str, cluster: Cluster) -> str:
    """Carry out one verb and return what there is to say."""
    if verb == "install":
        return install_packages()
    if verb == "up":
        return _bring_up(cluster)
    if verb == "status":
        return _describe(cluster)
    if verb == "reset":
        cluster.reset()
        return "every job cancelled, every node idle"
    cluster.down()
    return f"{cluster.folder}: down"


def _bring_up(cluster: Cluster) -> str:
    began = time.monotonic()
    started = cluster.up()
    how = f"started in {time.monotonic() - began:.1f} s" if started else "was up already"
    lacking = "" if cluster.memory_limits else ", without memory limits (they need a writable cgroup v1)"
    return f"# {how}: {len(NODES)} nodes{lacking}\nexport SLURM_CONF={cluster.conf}"


def _describe(cluster: Cluster) -> str:
    if not cluster.is_up():
        raise ClusterDown(f"{cluster.folder} is not up. Start it with: make slurm-up")
    nodes = " ".join(f"{node} {state}," for node, state in cluster.node_states().items())
    return f"# up: {nodes.rstrip(',')}\nexport SLURM_CONF={cluster.conf}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

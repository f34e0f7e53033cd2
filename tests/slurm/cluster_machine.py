"""What this machine has for a test cluster: programs, packages, control groups, free ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.slurm.cluster_config import DAEMON_PORTS
from tests.slurm.cluster_process import ClusterDown, run_quietly

PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sbatch", "sacct", "sacctmgr")
PACKAGES = ("slurmctld", "slurmd", "slurmdbd", "slurm-client", "slurm-wlm-basic-plugins", "munge", "mariadb-server")
CGROUP_ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "freezer", "cpuacct")
"""Those in which slurmd makes groups with the settings of cgroup.conf."""
FIRST_PORT, LAST_PORT = 17000, 31000
"""Below the range that the kernel hands out to clients."""


def program(name: str) -> str:
    """Return the path of a program, or its bare name where it is not installed; /usr/sbin need not be on PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin") or name


def missing_programs() -> list[str]:
    """Return what the cluster needs and this machine lacks."""
    return [name for name in PROGRAMS if not os.path.isabs(program(name))]


def install_packages() -> str:
    """Install the Debian packages of the cluster where they are missing; return one line that says what was done.

    Raises ClusterDown where that is not possible.
    """
    missing = missing_programs()
    if not missing:
        return "Slurm's packages are installed"
    if os.getuid() != 0 or not shutil.which("apt-get"):
        why = "this is no Debian" if os.getuid() == 0 else "that takes root"
        raise ClusterDown(f"cannot install {', '.join(PACKAGES)}: {why}. The Slurm tests are skipped.")
    env = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"}
    with _services_stay_off():
        run_quietly(("apt-get", "update", "-q"), env, timeout_s=600)
        run_quietly(("apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES), env, timeout_s=1200)
    if missing := missing_programs():
        raise ClusterDown(f"installed {', '.join(PACKAGES)}, and {', '.join(missing)} is still missing")
    return f"installed {', '.join(PACKAGES)}"


@contextlib.contextmanager
def _services_stay_off() -> Iterator[None]:
    """Keep Debian from starting what it installs (invoke-rc.d asks policy-rc.d); the cluster has daemons of its own."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def has_memory_cgroups(root: Path = CGROUP_ROOT) -> bool:
    """Say whether cgroup v1 can be written here. Version 2 is not used: Slurm 22.05 wants systemd for it."""
    return all((root / name / "cgroup.procs").exists() and os.access(root / name, os.W_OK) for name in CONTROLLERS)


def clear_cgroups(root: Path = CGROUP_ROOT) -> None:
    """Remove the groups that ended jobs left behind; the kernel refuses for one that still holds a process."""
    for controller in CONTROLLERS:
        for folder in (root / controller).glob("slurm_n*/uid_*/job_*"):
            for inner, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(inner)


def first_free_port(folder: Path) -> int:
    """Return the first of DAEMON_PORTS free neighbouring ports; each folder begins to look at another place."""
    places = range(FIRST_PORT, LAST_PORT, DAEMON_PORTS)
    start = sum(os.fsencode(folder)) * 7919 % len(places)
    for step in range(len(places)):
        first = places[(start + step) % len(places)]
        if all(_is_free(port) for port in range(first, first + DAEMON_PORTS)):
            return first
    raise ClusterDown(f"no {DAEMON_PORTS} neighbouring ports are free between {FIRST_PORT} and {LAST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the daemons do
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""The configuration files of the Slurm test cluster, as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CLUSTER = "mrsweep"
NODES = ("n1", "n2", "n3", "n4")
CPUS_PER_NODE = 4
MEM_MB_PER_NODE = 4000
GPUS_PER_NODE = 2
DAEMON_PORTS = 2 + len(NODES)
"""slurmctld, slurmdbd and one slurmd a node; the database is reached through its socket."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where one test cluster lives."""

    folder: Path
    host: str
    """Short name of this machine."""
    port: int
    """The first of DAEMON_PORTS neighbouring ports."""
    memory_limits: bool
    """True: jobs are held to their memory by cgroup v1."""
    cgroup_root: Path = Path("/sys/fs/cgroup")

    @property
    def conf(self) -> Path:
        """The slurm.conf that SLURM_CONF names."""
        return self.folder / "etc" / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.folder / "munge" / "socket"

    @property
    def database_socket(self) -> Path:
        return self.folder / "database" / "socket"


def config_files(site: Site) -> dict[str, str]:
    """Return file name → content of everything in the folder of slurm.conf."""
    files = {"slurm.conf": slurm_conf(site), "slurmdbd.conf": slurmdbd_conf(site), "gres.conf": gres_conf(site)}
    return files | {"cgroup.conf": cgroup_conf(site)} if site.memory_limits else files


def slurm_conf(site: Site) -> str:
    """Return slurm.conf: four virtual nodes on one host, fast to schedule, fast to give up."""
    tracking = "cgroup" if site.memory_limits else "linux"
    nodes = f"{NODES[0][0]}[1-{len(NODES)}]"
    ports = f"[{site.port + 2}-{site.port + 1 + len(NODES)}]"
    return f"""\
ClusterName={CLUSTER}
SlurmctldHost={site.host}(127.0.0.1)
SlurmctldPort={site.port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
# Two clusters on one machine share the names of control groups, so their job ids must differ.
FirstJobId={site.port * 100}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# cred_expire: a requeued job runs again after 11 s, not after 122 s.
AuthInfo=socket={site.munge_socket},cred_expire=5
StateSaveLocation={site.folder}/state
SlurmdSpoolDir={site.folder}/spool/%n
SlurmctldPidFile={site.folder}/run/slurmctld.slurm-pid
SlurmdPidFile={site.folder}/run/%n.slurm-pid
SlurmctldLogFile={site.folder}/log/slurmctld.log
SlurmdLogFile={site.folder}/log/%n.log
MailProg=/bin/true
ReturnToService=2
MpiDefault=none

# Real limits on memory where cgroup v1 is there.
ProctrackType=proctrack/{"cgroup" if site.memory_limits else "linuxproc"}
TaskPlugin=task/{"cgroup" if site.memory_limits else "none"}
JobAcctGatherType=jobacct_gather/{tracking}
JobAcctGatherFrequency=task=5

# Thousands of short tasks start as fast as the machine can fork them.
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=1,bf_interval=1,default_queue_depth=20000,bf_max_job_test=2000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
DefMemPerCPU=100
EpilogMsgTime=0
# Without an epilog a node answers the order to end a task with "ended already", and slurmctld then looks for the next
# task only at the turn of a second (measured: 16 slots used to 88 %, with an epilog to 99 %).
Epilog=/bin/true
MaxArraySize=1001
MaxJobCount=20000
MinJobAge=300
KillWait=2
SlurmdTimeout=20
InactiveLimit=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE

AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={site.port + 1}
AccountingStoragePass={site.munge_socket}
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits

SlurmdParameters=config_overrides
NodeName={nodes} NodeHostname={site.host} NodeAddr=127.0.0.1 Port={ports} \
CPUs={CPUS_PER_NODE} RealMemory={MEM_MB_PER_NODE} Gres=gpu:{GPUS_PER_NODE} State=UNKNOWN
PartitionName=gpu Nodes={nodes} Default=YES PriorityTier=1 MaxTime=1-00:00:00 DefaultTime=10 State=UP
PartitionName=high Nodes={nodes} PriorityTier=10 MaxTime=1-00:00:00 DefaultTime=10 State=UP
"""


def slurmdbd_conf(site: Site) -> str:
    """Return slurmdbd.conf; the database is found through MYSQL_UNIX_PORT."""
    return f"""\
DbdHost={site.host}
DbdAddr=127.0.0.1
DbdPort={site.port + 1}
CommunicationParameters=NoInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={site.munge_socket}
PidFile={site.folder}/run/slurmdbd.slurm-pid
LogFile={site.folder}/log/slurmdbd.log
CommitDelay=1
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""


def gres_conf(site: Site) -> str:
    """Return gres.conf: GPUs that are links to /dev/null; jobs see CUDA_VISIBLE_DEVICES all the same."""
    return f"NodeName={NODES[0][0]}[1-{len(NODES)}] Name=gpu File={site.folder}/dev/gpu[0-{GPUS_PER_NODE - 1}]\n"


def cgroup_conf(site: Site) -> str:
    """Return cgroup.conf for version 1 of control groups."""
    return f"""\
CgroupPlugin=cgroup/v1
CgroupMountpoint={site.cgroup_root}
CgroupAutomount=no
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
ConstrainDevices=no
ConstrainCores=no
"""


def munged_argv(munged: str, site: Site) -> tuple[str, ...]:
    """Return the command line of the authentication daemon; --force: a folder below a private one will do, all is run by root."""
    munge = site.munge_socket.parent
    files = (f"--key-file={munge}/key", f"--socket={site.munge_socket}", f"--seed-file={munge}/seed")
    return munged, "--foreground", "--force", *files, f"--pid-file={site.folder}/run/munged.slurm-pid"


def mariadb_argv(mariadbd: str, site: Site) -> tuple[str, ...]:
    """Return the database's command line: private socket, no network, no durability (the data is thrown away)."""
    return (
        mariadbd,
        "--no-defaults",
        "--user=root",
        f"--datadir={site.folder}/database/data",
        f"--socket={site.database_socket}",
        f"--pid-file={site.folder}/run/mariadbd.slurm-pid",
        "--skip-networking",
        "--skip-grant-tables",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--innodb-buffer-pool-size=128M",
        "--innodb-log-file-size=64M",
        "--innodb-lock-wait-timeout=900",
        "--skip-log-bin",
        "--console",
    )

"""What doctor says of how tasks end on a cluster: requeue, preemption, waiting times; pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cluster.profile import Profile
from orchestrator.cluster.scheduler import Fact, Verdict
from orchestrator.cluster.site import Partition, Site

_SHORT_S = 10
_WAITS = {"UnkillableStepTimeout": "so long a task may be ending", "SlurmdTimeout": "after that a lost node is found out"}


def end_facts(site: Site, profile: Profile, *, accounting: bool) -> Iterator[Fact]:
    """Judge what ends tasks, and how it is found out. accounting: sacct answers."""
    yield _min_job_age(site, profile, accounting=accounting)
    yield _requeue(site, profile)
    yield from _requeue_exit(site)
    yield from _preemption(site, profile)
    yield _kill_wait(site)
    over = site.number("OverTimeLimit")
    if over:
        yield Fact(name="OverTimeLimit", value=f"{over} min: tasks may exceed their limit by that")
    for name, meaning in _WAITS.items():
        seconds = site.number(name)
        if seconds is not None:
            yield Fact(name=name, value=f"{seconds} s: {meaning}")


def _min_job_age(site: Site, profile: Profile, *, accounting: bool) -> Fact:
    """The queue forgets a task MinJobAge after its end; then accounting alone tells how it ended."""
    age, value = site.number("MinJobAge"), site.config.get("MinJobAge", "unknown")
    if age is None or age >= 2 * profile.poll_s:
        return Fact(name="MinJobAge", value=value)
    if accounting:
        return Fact(name="MinJobAge", value=f"{value}; sacct tells how tasks ended before that")
    advice = "Without accounting most ends are then seen in the runs' own files alone. "
    way_out = f"Write into the profile: #MRSWEEP poll_s={age // 2}" if age >= 2 * _SHORT_S else "Ask the site for MinJobAge=300."
    return Fact(name="MinJobAge", value=value, verdict=Verdict.NOTE, advice=advice + way_out)


def _requeue(site: Site, profile: Profile) -> Fact:
    on = site.config.get("JobRequeue", "1") == "1"
    if profile.option("no-requeue"):
        return Fact(name="JobRequeue", value="off by the profile; watch submits lost and preempted tasks anew")
    if on or profile.option("requeue"):
        return Fact(name="JobRequeue", value="1" if on else "0, and the profile asks for it")
    advice = "Preempted and lost tasks end instead of waiting again; watch submits them anew. To change that: #SBATCH --requeue"
    return Fact(name="JobRequeue", value="0", verdict=Verdict.NOTE, advice=advice)


def _requeue_exit(site: Site) -> Iterator[Fact]:
    """A worker ends with 0, 1 or 2; a run's own exit code is never that of the task."""
    for name, consequence in (
        ("RequeueExit", "Slurm starts a failed worker again by itself, for ever; its runs go on as attempt n.1, n.2 …"),
        ("RequeueExitHold", "A failed worker waits on hold until 'scontrol release' or 'mrsweep cancel'."),
    ):
        codes = site.words(name)
        ours = bool({"1", "2"} & {code for word in codes for code in _codes(word)})
        if codes:
            advice = f"{consequence} To change that: #SBATCH --no-requeue" if ours else ""
            yield Fact(name=name, value=",".join(codes), verdict=Verdict.NOTE if ours else Verdict.OK, advice=advice)


def _codes(word: str) -> list[str]:
    first, _, last = word.partition("-")
    return [str(code) for code in range(int(first), int(last) + 1)] if first.isdigit() and last.isdigit() else [word]


def _preemption(site: Site, profile: Profile) -> Iterator[Fact]:
    kind = site.config.get("PreemptType", "").removeprefix("preempt/")
    modes = _modes(site, profile)
    if kind in ("none", "") and modes <= {"OFF", ""}:
        yield Fact(name="PreemptMode", value="OFF")
        return
    word = ",".join(sorted(modes - {"", "OFF"})) or "OFF"
    yield Fact(name="PreemptMode", value=word, verdict=Verdict.NOTE if _preempt_advice(word) else Verdict.OK, advice=_preempt_advice(word))
    if word != "OFF":
        yield _warning_before_preemption(site, profile)


def _modes(site: Site, profile: Profile) -> set[str]:
    """The modes of the profile's partitions; theirs go before the cluster's."""
    whole = site.config.get("PreemptMode", "OFF")
    return {mode for partition in _asked(site, profile) for mode in (partition.preempt_mode or whole).split(",")} or set(whole.split(","))


def _asked(site: Site, profile: Profile) -> tuple[Partition, ...]:
    option = profile.option("partition")
    return site.partition(option.value if option else "")


def _preempt_advice(mode: str) -> str:
    if "SUSPEND" in mode or "GANG" in mode:
        return "A suspended run beats no heart, and keeps its node: it is not taken for stalled."
    return "Slurm ends preempted tasks for good; watch submits them anew, so keep one running." if "CANCEL" in mode else ""


def _warning_before_preemption(site: Site, profile: Profile) -> Fact:
    """A preempted task gets SIGTERM at once, and the warning signal too where send_user_signal is set."""
    grace = min((partition.grace_s for partition in _asked(site, profile)), default=0)
    signal = "send_user_signal" in site.words("PreemptParameters")
    value = f"GraceTime {grace} s, then KillWait; SIGTERM{' and the warning signal' if signal else ''}"
    left = grace + (site.number("KillWait") or 0)
    if left >= _SHORT_S:
        return Fact(name="before preemption", value=value)
    advice = f"{left} s do not save a checkpoint: let runs write one every few minutes."
    return Fact(name="before preemption", value=value, verdict=Verdict.NOTE, advice=advice)


def _kill_wait(site: Site) -> Fact:
    value, seconds = site.config.get("KillWait", "unknown"), site.number("KillWait")
    short = seconds is not None and seconds < _SHORT_S
    advice = "Little time between SIGTERM and SIGKILL: only the warning before the time limit saves a checkpoint (warning_s)."
    return Fact(name="KillWait", value=value, verdict=Verdict.NOTE if short else Verdict.OK, advice=advice if short else "")

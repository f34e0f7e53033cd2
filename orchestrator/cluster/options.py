"""What may enter a script, and which options of sbatch: the resources of the runs first, then their own options, then the profile."""

from __future__ import annotations

import math

from orchestrator.cluster.profile import Option, Profile, checked_name, checked_value
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.scheduler import ArrayRequest
from orchestrator.store.errors import InputError, ProfileError
from orchestrator.store.layout import TOKEN

_FROM_RESOURCES = {
    "time": "time_min", "time-min": "time_min", "mem": "mem_gb", "mem-per-cpu": "mem_gb", "mem-per-gpu": "mem_gb", "cpus-per-task": "cpus",
    "cpus-per-gpu": "cpus", "mincpus": "cpus", "gpus": "gpus", "gpus-per-node": "gpus", "gpus-per-task": "gpus", "gpus-per-socket": "gpus",
    "nodes": "nodes",
}  # fmt: skip
"""sbatch option → the key of `resources` that decides it."""

_FROM_US = frozenset({
    "array", "bbf", "begin", "chdir", "dependency", "error", "export-file", "get-user-env", "gid", "help", "hold", "input", "job-name",
    "kill-on-invalid-dep", "no-kill", "ntasks", "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-node", "ntasks-per-socket", "open-mode",
    "output", "parsable", "quiet", "signal", "test-only", "uid", "usage", "verbose", "version", "wait", "wrap",
})  # fmt: skip
"""Options that mrsweep sets or leaves out itself: the array, its logs, its warning, the shape of a task."""


def grant(profile: Profile, resources: Resources) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return sbatch's options for a task (long name → value, empty for a bare flag) and notes on what was overruled.

    cpus, mem_gb and gpus are asked for on each node of a task. Raises ProfileError for options that cannot stand where they do.
    """
    own = dict(_own_options(resources))
    granted: dict[str, str] = {}
    notes: list[str] = []
    for option in profile.options:
        where = f"{profile.path}:{option.line}: --{option.name}={option.value}".removesuffix("=")
        if option.name in own:
            notes.append(f"{where} is overruled by resources.sbatch: {option.name}={own[option.name]}")
        elif reason := _overruled(option, resources):
            notes.append(f"{where} is overruled {reason}")
        elif option.name == "gres":
            notes += [f"{where}: the GPUs are overruled by resources.gpus={resources.gpus}"] if "gpu" in option.value else []
            granted |= {"gres": _without_gpus(option.value)} if _without_gpus(option.value) else {}
        else:
            granted[option.name] = option.value
    granted |= own | {"nodes": str(resources.nodes), "cpus-per-task": str(resources.cpus)}
    granted |= {"mem": f"{math.ceil(resources.mem_gb * 1024)}M", "time": str(math.ceil(resources.time_min))}
    if resources.gpus and profile.gpu == "none":
        notes.append(f"{profile.path}: gpu=none: resources.gpus={resources.gpus} is not asked for, runs compute without")
    return granted | _gpu_option(profile, resources, granted.get("gres", "")), tuple(notes)


def origins(profile: Profile, resources: Resources) -> dict[str, str]:
    """Return option → "name=value in PLACE" of the options that the profile and `resources.sbatch` give a task."""
    of_profile = {option.name: f"{option.name}={option.value} in {profile.path}:{option.line}" for option in profile.options}
    return of_profile | {name: f"{name}={value} in resources.sbatch" for name, value in resources.sbatch}


def _own_options(resources: Resources) -> list[tuple[str, str]]:
    for name, value in resources.sbatch:
        try:
            _refuse_own_option(name, value, "resources.sbatch")
        except ProfileError as error:
            raise ProfileError(str(error), key=f"sbatch.{name}") from error
    return list(resources.sbatch)


def _refuse_own_option(name: str, value: str, where: str) -> None:
    """Raise ProfileError for an option that cannot stand in `resources.sbatch`."""
    checked_value(checked_name(name, where), value, where)
    if name in _FROM_RESOURCES:
        raise ProfileError(f"{where}: {name} cannot stand here. Write resources.{_FROM_RESOURCES[name]} instead.")
    if name in _FROM_US:
        raise ProfileError(f"{where}: {name} cannot stand here, mrsweep sets it itself. Remove it.")
    if name == "gres" and _without_gpus(value) != value:
        raise ProfileError(f"{where}: gres={value} names GPUs. Write resources.gpus instead, and the kind as gpu_type in the profile.")


def _overruled(option: Option, resources: Resources) -> str:
    if option.name in _FROM_US:
        return "by mrsweep, which sets it itself"
    key = _FROM_RESOURCES.get(option.name)
    return f"by resources.{key}={getattr(resources, key)}" if key else ""


def _without_gpus(gres: str) -> str:
    return ",".join(part for part in gres.split(",") if part and part.split(":")[0].removeprefix("gres/") != "gpu")


def _gpu_option(profile: Profile, resources: Resources, gres: str) -> dict[str, str]:
    if not resources.gpus or profile.gpu == "none":
        return {}
    kind = profile.larger_gpu if resources.larger_gpu else profile.gpu_type
    wanted = f"{kind}:{resources.gpus}" if kind else str(resources.gpus)
    if profile.gpu == "gpus":
        return {"gpus-per-node": wanted}
    return {"gres": ",".join(part for part in (gres, f"gpu:{wanted}") if part)}


def refuse_odd_text(request: ArrayRequest) -> None:
    """Raise InputError unless the request brings nothing but a checked name, numbers, and paths that quotes can hold."""
    if not TOKEN.match(request.token):
        raise InputError(f"submission {request.token[:60]!a}: the name may hold letters, digits, _ . and -, at most 120")
    for text in (*request.command, str(request.folder)):
        if not text.isprintable() or "\\" in text:
            raise InputError(f"{text[:120]!a}: no path with a control character or a backslash enters a script. Choose another folder.")
    if request.tasks < 1 or request.throttle < 1:
        raise InputError(f"submission {request.token}: {request.tasks} tasks, {request.throttle} at a time; both must be at least 1")

"""What sbatch's failures mean: refused for certain, or nobody knows; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.cluster.command import Answer
from orchestrator.store.errors import ClusterError, SubmitRefused, SubmitUnknown

_NO_ANSWER = re.compile(
    r"timed out|unable to contact|zero bytes|connect failure|connection (?:refused|reset)|unexpected message|send/recv"
    r"|message receive failure|standby mode|transport endpoint|insane message|communication|credential|munge",
    re.IGNORECASE,
)
"""The request may have arrived: a frozen controller carries it out when it thaws."""

_NO = re.compile(
    r"invalid|not available|not permitted|denied|violates|policy|unrecognized|ambiguous|exceed|not found|no such|must |requires"
    r"|disabled|cannot|unable to open|too many|temporarily unable|maximum number|empty|bad |problem|missing|unable to (?:create|allocate)",
    re.IGNORECASE,
)

_WAYS_OUT = (
    (r"submit limit|policy|temporarily|maximum number", "Launch again when fewer tasks are queued."),
    (r"account", "'sacctmgr show assoc user=$USER format=Account' lists yours; choose one with #SBATCH --account=… in the profile."),
    (r"partition", "Choose one that 'sinfo -s' lists, with #SBATCH --partition=… in the profile."),
    (r"qos", "'sacctmgr show assoc user=$USER format=Account,QOS' lists yours; choose one with #SBATCH --qos=… in the profile."),
    (r"job array", "Lower MRSWEEP_MAX_ARRAY below the cluster's MaxArraySize ('scontrol show config')."),
    (r"memory|node configuration|gres|cpu count|node count", "'sinfo -o \"%P %c %m %G\"' shows what nodes have; lower resources."),
    (r"time", "'sinfo -o \"%P %l\"' shows the limits; lower resources.time_min."),
    (r"feature|constraint", "'sinfo -o \"%P %f\"' lists the features of the nodes."),
)

_OPTION_OF = {"account": "account", "partition": "partition", "qos": "qos", "feature": "constraint", "constraint": "constraint",
              "reservation": "reservation", "license": "licenses"}  # fmt: skip
"""Word of Slurm's refusal → the option of sbatch that it may mean."""


def judge(answer: Answer, *, token: str, asked: Mapping[str, str] = {}) -> ClusterError | None:
    """Return None when sbatch succeeded, else SubmitRefused or SubmitUnknown with Slurm's text.

    asked: option → its value and where it was written, for those that a refusal speaks of. The return code decides about
    success, never stderr: sbatch chats there while it retries. An error that fits no known refusal is unknown, since a job
    may be queued.
    """
    if answer.ok:
        return None
    text = _reason(answer)
    if not (is_no(answer) and _NO.search(answer.err)):
        return SubmitUnknown(f"{token}: sbatch failed and the job may be queued all the same: {text}")
    advice = next((advice for pattern, advice in _WAYS_OUT if re.search(pattern, text, re.IGNORECASE)), "Slurm's words say what to change.")
    meant = dict.fromkeys(option for word, option in _OPTION_OF.items() if word in text.lower())
    told = "; ".join(asked[option] for option in meant if option in asked)
    return SubmitRefused(f"{token}: sbatch refused: {text}{f' ({told})' if told else ''}. {advice}")


def is_no(answer: Answer) -> bool:
    """Say whether a command failed with an answer, not for want of one: what it asked for was surely not done."""
    return answer.code is not None and answer.code > 0 and not _NO_ANSWER.search(answer.err + answer.out)


def _reason(answer: Answer) -> str:
    """Return the line that ends the story, without sbatch's prefixes."""
    lines = [line for line in answer.err.splitlines() if "submission failed" in line or "error" in line.lower()]
    last = lines[-1] if lines and answer.code is not None else answer.complaint()
    return re.sub(r"^(?:sbatch: )?(?:error: |fatal: )*(?:Batch job submission failed: )?", "", last.strip()).rstrip(".")[:300]

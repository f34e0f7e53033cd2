"""How local workers are named among job ids."""

from __future__ import annotations

import re

_JOB_ID = re.compile(r"local-(.+)-(\d+)\Z")


def local_job_id(host: str, pid: int) -> str:
    """Return the name of a local process among job ids."""
    return f"local-{host}-{pid}"


def read_job_id(job_id: str) -> tuple[str, int] | None:
    """Return (host, pid) of a local job id, None for any other."""
    match = _JOB_ID.match(job_id)
    return (match[1], int(match[2])) if match else None

"""What the options of the command line are called from Python: errors name the arguments that were written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from orchestrator.store.errors import MrsweepError

ARGUMENTS = ("where", "metric", "select", "by", "over", "across", "baseline", "per", "all-keys", "profile", "variant")
"""Options that have an argument of the same name."""

_COMMAND = r"mrsweep [^;]*"
"""A command to type in a terminal stays as it is; it stands at the end of what it belongs to."""
_OPTION = re.compile(rf"{_COMMAND}|(?P<advice>(?:Write|or|with) )?--(?P<name>[a-z][a-z-]*)(?P<value> \S*[^\s,;.:])?")


@contextmanager
def named_as_arguments(names: Mapping[str, str] | None = None) -> Iterator[None]:
    """Let errors speak of arguments where they speak of options. `names`: option → argument of another name."""
    known = {**dict.fromkeys(ARGUMENTS), **(names or {})}
    try:
        yield
    except MrsweepError as error:
        error.args = (_OPTION.sub(lambda match: _renamed(match, known), str(error)),)
        raise


def _renamed(match: re.Match[str], known: Mapping[str, str | None]) -> str:
    """Return one option as an argument: --over is over, and the advice to write --over seed that to write over="seed"."""
    option, advice, value = match["name"], match["advice"] or "", match["value"] or ""
    if option not in known:
        return match[0]
    argument = known[option] or option.replace("-", "_")
    if advice and value:
        return f'{advice}{argument}="{value[1:]}"'
    return f"{advice}{argument}{value}"

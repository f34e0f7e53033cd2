"""Sends one message to one address, in a process of its own: `python -P -m orchestrator.messages.post`, the request on standard input.

The address arrives by a pipe, never as an argument: who lists processes does not see it.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import Any
from urllib.parse import quote

import msgspec

_HTTP = re.compile(r"error=(\d{3})\b")
_SMTP = re.compile(r"\((\d{3}), b['\"]")
_ERRNO = re.compile(r"\[Errno (\d{1,5})\]")
_PHRASES = {
    "timed out": "it did not answer in time",
    "name or service not known": "its name is not known",
    "name resolution": "its name is not known",
    "certificate": "its certificate is not trusted",
    "connection refused": "Connection refused",
    "unexpectedly closed": "it closed the connection",
    "reset by peer": "it closed the connection",
}
"""Words of the libraries below → what is said of them. Nothing else of their output is repeated: it may name the address."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent where."""

    url: str
    subject: str
    text: str
    table: str = ""
    """File to attach; empty: none."""
    table_name: str = ""


def send(request: Request) -> str:
    """Send, and return nothing where it was accepted, else why not, in words that repeat nothing of the address."""
    import apprise

    heard = _Listener()
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [heard], False
    logger.setLevel(logging.DEBUG)
    try:
        service = _service(apprise, request.url)
        if service is None:
            return "apprise does not know addresses of this kind, or something in it is missing"
        accepted = service.notify(title=request.subject, body=request.text, body_format="text", attach=_table(apprise, request))
    except Exception as error:  # whatever a service's library raises ends here
        heard.lines.append(str(error))
        accepted = False
    return "" if accepted else explain("\n".join(heard.lines))


def _service(apprise: Any, url: str) -> Any:
    """Return what sends to the address, None where it means no service. A text that is too long for the service is cut."""
    asset = apprise.AppriseAsset(app_id="mrsweep", app_desc="mrsweep", async_mode=False, storage_mode=apprise.PersistentStoreMode.MEMORY)
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        return None
    if "overflow=" not in url:
        service.overflow_mode = apprise.OverflowMode.TRUNCATE
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    return sender


def _table(apprise: Any, request: Request) -> Any:
    if not request.table or not os.path.isfile(request.table):
        return None
    attached = apprise.AppriseAttachment()
    attached.add(f"file://{quote(request.table)}?name={quote(request.table_name)}&mime=text/csv")
    return attached


class _Listener(logging.Handler):
    """Keeps what apprise says, for the few words of it that are passed on."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one line; one that cannot be put together is passed over."""
        try:
            self.lines.append(record.getMessage())
        except (TypeError, ValueError):
            return


def explain(output: str) -> str:
    """Return why a message was not accepted: numbers and a few fixed words of what the libraries said, nothing else of it."""
    for pattern, told in ((_HTTP, "the server answered {}"), (_SMTP, "the server answered {}")):
        found = pattern.findall(output)
        if found:
            return told.format(found[-1])
    lower = output.lower()
    for words, told in _PHRASES.items():
        if words in lower:
            return told
    errors = _ERRNO.findall(output)
    return os.strerror(int(errors[-1])) if errors else "it was not accepted"


def main() -> int:
    """Read the request, send, and write the answer."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    sys.stdout.buffer.write(msgspec.json.encode(send(request)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

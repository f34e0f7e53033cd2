"""A real browser for tests of the report: headless Chromium, driven through its own driver.

Run as a file, it takes one word:

    python tests/report/browser.py install     the Debian packages it needs (root only)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSER, DRIVER = "chromium", "chromedriver"
PACKAGES = ("chromium", "chromium-driver")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,900",
)
INSTALL_S = 1200


class NoBrowser(Exception):
    """Chromium is not here, and cannot be installed."""


def missing() -> list[str]:
    """Return which of the programs are not here."""
    return [name for name in (BROWSER, DRIVER) if shutil.which(name) is None]


def install() -> str:
    """Install the Debian packages where programs are missing; return one line that says what was done. Raises NoBrowser."""
    if not missing():
        return "Chromium is installed"
    if os.getuid() != 0 or not shutil.which("apt-get"):
        why = "this is no Debian" if os.getuid() == 0 else "that takes root"
        raise NoBrowser(f"cannot install {', '.join(PACKAGES)}: {why}. The tests of the report in a browser are skipped.")
    environment = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (("apt-get", "update", "-q"), ("apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES)):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=INSTALL_S)
        if done.returncode:
            raise NoBrowser(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-400:]}")
    return f"installed {', '.join(PACKAGES)}"


@contextmanager
def opened(profile: Path) -> Iterator[Any]:
    """Give a browser whose profile lies in a new folder; it ends with the block."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which(BROWSER) or BROWSER
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options, Service(shutil.which(DRIVER) or DRIVER))
    try:
        yield browser
    finally:
        browser.quit()


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    if arguments != ["install"]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(install())
    except NoBrowser as error:
        print(f"browser: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

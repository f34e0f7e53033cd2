"""A study beside a stand-in for the scheduler, for the tests of rounds and launches."""

from tests.watchdog.study import clock as clock
from tests.watchdog.study import study as study

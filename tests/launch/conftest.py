"""A study beside a stand-in for the scheduler, for the tests of what is submitted."""

from tests.watchdog.study import clock as clock
from tests.watchdog.study import study as study

"""A study beside a stand-in for the scheduler, whose runs are moved to the trash and back."""

from tests.watchdog.study import clock as clock
from tests.watchdog.study import study as study

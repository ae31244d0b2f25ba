"""A worker process as the supervisor starts it, optionally with a guard removed."""

import os
import random
import signal
import sys
from datetime import UTC, datetime

import sabotage  # type: ignore[import-not-found]
import time_machine

from clinic.entrypoints.worker.process import main

JUMP_S = 3600


def let_the_clock_jump() -> None:
    """Make this process's wall clock jump by an hour, back or forth, at each SIGUSR1."""
    machine = time_machine.travel(datetime.now(UTC), tick=True).start()
    chance = random.Random(os.getpid())
    signal.signal(signal.SIGUSR1, lambda *_: machine.shift(chance.choice([JUMP_S, -JUMP_S])))


if __name__ == "__main__":
    sabotage.apply()
    let_the_clock_jump()
    sys.exit(main())

"""A worker process as the supervisor starts it, perhaps with a guard taken out."""

import sys

import sabotage

from clinic.entrypoints.worker.process import main

if __name__ == "__main__":
    sabotage.apply()
    sys.exit(main())

"""A worker process as the supervisor starts it, perhaps with a guard taken out."""

import sys

import sabotage  # type: ignore[import-not-found]

from clinic.entrypoints.worker.process import main

if __name__ == "__main__":
    sabotage.apply()
    sys.exit(main())

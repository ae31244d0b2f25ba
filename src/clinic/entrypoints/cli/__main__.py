"""Runs the command line as `python -m clinic.entrypoints.cli`."""

from clinic.entrypoints.cli import main

main()

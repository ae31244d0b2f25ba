"""Entrypoints: HTTP, worker and command line, which only translate."""

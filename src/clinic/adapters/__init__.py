"""Adapters: one folder for each technology, reached only through `clinic.bootstrap`."""

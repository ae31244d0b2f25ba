"""The interfaces that use cases need, as Protocols; every sentence of their docstrings has a test
in `clinic.testing`."""

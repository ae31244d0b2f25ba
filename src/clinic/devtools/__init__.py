"""Servers from wheels, the demo and the benchmark: tools for developers that implement no port."""

"""Record, seal and read what was done."""

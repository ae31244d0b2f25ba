"""`clinic demo`: the whole system on this machine, with a sample clinic, shown at work."""

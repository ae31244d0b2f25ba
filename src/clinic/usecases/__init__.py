"""What people do at a clinic: a verb each, decided in the domain, written through ports."""

"""Deliver messages, follow the links in them, choose what one wants."""

"""Runs statements on PostgreSQL: connections, pools, batches, timeouts, errors and row mapping."""

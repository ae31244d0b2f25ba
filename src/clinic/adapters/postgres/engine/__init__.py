"""How statements reach PostgreSQL: connections, pools, batches, time limits, errors and mapping."""

"""Record, seal and read the audit trail."""

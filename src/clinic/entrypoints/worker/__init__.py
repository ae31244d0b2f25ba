"""The notification worker: a separate process, whose failure does not affect the web servers."""

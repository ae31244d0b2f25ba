"""The notification worker: a process of its own, whose failure never touches the web servers."""

"""HTML pages for people, rendered on the server and without scripts."""

"""The migrations, oldest first; each is never changed once released."""

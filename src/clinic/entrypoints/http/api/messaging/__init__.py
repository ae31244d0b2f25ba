"""Messages to people, and people's preferences."""

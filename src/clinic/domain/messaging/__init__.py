"""Messages to people, and the links in them."""

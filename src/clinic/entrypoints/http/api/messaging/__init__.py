"""Messages to people, and what they want of them."""

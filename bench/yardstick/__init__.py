"""The yardstick: the booking endpoint as an ordinary team would write it."""

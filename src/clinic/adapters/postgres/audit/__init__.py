"""The trails: what is appended, how they are read, sealed, and followed as a feed."""

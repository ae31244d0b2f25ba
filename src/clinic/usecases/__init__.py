"""The use cases of a clinic: each is a verb, decides in the domain and writes through ports."""

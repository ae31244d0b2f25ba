"""What the use cases need from the outside, as Protocols; each sentence of them has a test in
`clinic.testing`."""

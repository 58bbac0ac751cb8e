"""The nouns and the arithmetic of Perdure: no I/O, no clock, no randomness, no threads."""

"""Strict offline readers of the files that people and other programs wrote. Nothing here reaches a network or writes a file."""

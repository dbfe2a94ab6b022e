"""Prepare what the Jobs of a set need, in order: pins, images, and the record of what was pushed. Each step is skipped when done.

Nothing here talks to a cluster.
"""

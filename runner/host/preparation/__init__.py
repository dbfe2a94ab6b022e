"""Prepare what the Jobs of a set need, in order: pins, images, and the record of what was pushed; what is done is skipped.

Nothing here talks to a cluster.
"""

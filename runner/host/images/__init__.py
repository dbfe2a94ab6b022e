"""Build the image of a stack: the plan, what the image is built from, the builder, what came out, the push.

Nothing here talks to a cluster or decides a version: versions come from the lock.
"""

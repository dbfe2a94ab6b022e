"""The stacks as they are locked: requirements files, their agreement with the lock, and what a stack is installed from.

Nothing here asks a network, so that every room may import this one.
"""

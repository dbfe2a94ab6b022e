"""Bumps: what is newer than the lock, and the whole way from a name to a moved pin or a new stack.

Nothing here measures. Questions are planned without a network and asked by the origins of ``pins``.
"""

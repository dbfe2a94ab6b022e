"""Find, check and resolve pins: compiled requirements, questions to origins, the lock held against its files.

Nothing here reads results, knows a cluster, or is imported by a room that works offline.
"""

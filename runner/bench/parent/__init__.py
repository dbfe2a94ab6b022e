"""The parent process of a run, which starts the ranks of each launch, judges their raw data and publishes the result.

No module here imports torch, and no rank imports a module of this room.
"""

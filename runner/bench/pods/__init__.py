"""The verbs of a pod beside measuring: fetch weights, wait for other hosts, let them start ranks, print frames.

Nothing here measures, and nothing here imports a module of the parent or of a rank.
"""

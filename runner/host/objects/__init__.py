"""The names and shapes of Kubernetes objects, and how a run is read from them, submitted, and collected from.

Nothing here talks to a cluster, judges a run, or renders a manifest; only ``manifest_files`` reads files.
"""

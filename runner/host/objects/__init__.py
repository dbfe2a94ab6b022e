"""What Kubernetes objects are called, how they are shaped, and how a run is read, submitted and collected from.

Nothing here talks to a cluster, judges a run, or renders a manifest; only ``manifest_files`` reads files.
"""

"""Start the image of a stack on this host with podman or docker, as a pod of its Job would run.

Nothing here knows a cluster, and nothing here builds an image.
"""

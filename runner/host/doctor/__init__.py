"""Look at a host, a container program, a registry and a cluster before anything is paid for: what is ready, and what is not.

Nothing here changes what it looks at.
"""

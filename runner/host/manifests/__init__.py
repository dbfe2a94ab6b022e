"""The Kubernetes objects of a set of cases, made of plain values by pure functions: one sibling module per kind of object.

Nothing here talks to a cluster or looks at what runs, and no module but ``folder`` reads or writes a file.
"""

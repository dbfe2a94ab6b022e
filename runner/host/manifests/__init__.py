"""The Kubernetes objects of a set of cases, made of plain values by pure functions: one sibling module per kind of object.

Nothing here reads a file, talks to a cluster, or looks at what runs.
"""

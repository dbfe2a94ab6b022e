"""The rules that rendered objects keep, one module per source of rules. Pure: objects in, sentences out.

A rule never changes an object, and nothing here decides which rules apply: ``manifests.check`` does.
"""

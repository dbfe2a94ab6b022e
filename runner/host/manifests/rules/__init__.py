"""The rules that rendered objects keep, one module per source of rules: objects in, sentences out.

No rule changes an object, and nothing here decides which rules apply: ``manifests.check`` does.
"""

"""The facts that a result states about its host and its software: packages, environment, kernel, vendors' tools.

Nothing here loads a model, starts a process of a launch, or imports torch.
"""

"""The agreements of parent and ranks: hosts, lifelines, messages, why a process died.

Nothing here knows a model or a device.
"""

"""What parent and ranks agree on: hosts, lifelines, messages, why a process died.

Nothing here knows a model or a device.
"""

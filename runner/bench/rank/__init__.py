"""The measured processes of a launch, one for each device.

No module here starts a process or writes a result; the parent imports none of them.
"""

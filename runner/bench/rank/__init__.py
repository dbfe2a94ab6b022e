"""The measured processes, one per device. Nothing here starts a process or writes a result; the parent never imports this room."""

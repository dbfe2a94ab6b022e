"""The program of the containers, on Python 3.8: read a request, run its launches, write the result.

Nothing here imports ``runner.host``, and only ``devices``, ``engines``, ``inputs`` and ``rank`` import torch.
"""

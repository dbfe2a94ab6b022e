"""The program outside the containers, on a modern Python. Nothing here is imported by ``runner.bench`` or ``runner.contract``."""

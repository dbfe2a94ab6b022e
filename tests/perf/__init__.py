"""Benchmarks of the runner itself: ratios, side by side in one run. Nothing here is a test, nothing is gated on time."""

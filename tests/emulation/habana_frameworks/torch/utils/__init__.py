"""The vendor's helpers."""

"""The vendor's own kernels."""

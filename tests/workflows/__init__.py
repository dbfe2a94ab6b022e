"""Tests of the workflows below .github and .gitlab, and of what their steps call: tools/forge and tools/workflow."""

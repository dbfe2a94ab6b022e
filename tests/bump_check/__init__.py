"""Tests of the check before and after a bump."""

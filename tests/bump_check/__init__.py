"""Tests of ``tools.bump_check``: stand-in trees whose programs do what a plan says, real git repositories, and two walks for real."""

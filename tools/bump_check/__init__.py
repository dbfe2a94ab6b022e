"""Before and after a bump: ``python -m tools.bump_check --base main`` measures the same cases on two locks in turn, and judges them.

A *side* is a tree with its lock and its environment. ``trees`` exports a side's tree, ``environments`` makes its environment,
``launches`` measures the sides in the order A B B A, ``moved`` tells which pins differ, ``verdicts`` lets ``compare`` judge, and
``comment`` writes what a pull request shows. ``bisect`` names the pins that changed a measurement: ``intermediate`` makes trees between
base and head, and ``search`` chooses which. docs/bumps.md describes the whole.
"""

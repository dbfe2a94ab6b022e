"""What the steps of workflows call beside the front door: choose rows, keep logs, carry a change and a report from job to job.

A job that ran new third-party code hands on files, and a job with write rights takes these files. ``change.read``, ``change.tree_of`` and
``report.take`` are the doors between the two: they trust nothing that they are handed. Standard library and ``runner.contract`` only.
"""

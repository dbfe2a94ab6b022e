"""What the steps of workflows call beside the front door: choose rows, keep logs, carry a change and a report from job to job.

A job that ran new third-party code hands on files, and a job with write rights takes these files. ``taking`` is the door between the
two: it trusts nothing that it is handed. Standard library and ``runner.contract`` only, but for ``rows``.
"""

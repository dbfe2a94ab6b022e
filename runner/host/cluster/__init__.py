"""All that talks to a cluster: requests, the following of runs, and the files that are kept of each run.

No module here gives verdicts on results or makes manifests.
"""

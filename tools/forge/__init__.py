"""The one door to a forge's API: pull requests, comments, check runs and issues, on GitHub and on GitLab. Standard library only.

The job that holds a token with write rights runs these modules. The job installs nothing, so no third-party code runs beside the token.
"""

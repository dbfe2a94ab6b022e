"""Run the jobs of a workflow here: the `run:` steps of the YAML in their order, with the conditions, outputs and rights of the YAML.

What stands in for the forge: a bare repository is the remote, ``tests/support/forge.py`` answers as its API, a folder keeps artefacts,
and this machine is the runner. Nothing of a step is replaced. Whatever the YAML says and the harness does not know is an error.
"""

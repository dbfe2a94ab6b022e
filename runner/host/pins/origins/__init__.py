"""The origins of pins, one sibling module per kind: package index, container registry, model hub, git server.

No sibling here imports another, and nothing here reads or writes the lock.

Every function asks one origin and returns the answer. Where the origin says that there is no such thing, the function returns None
or raises ``InputError``; where nobody answers, a login is missing or the answer is broken, the function raises ``Unreachable``.

Other doors of the host to a network are ``pins/uv.py`` (uv asks package indexes), ``images/buildah.py`` (pulls and pushes images)
and ``runner/host/cluster`` (the API server).
"""

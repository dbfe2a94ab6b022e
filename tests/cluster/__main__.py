"""Build the CPU image with what starts ranks on several hosts, and print its local name: `python -m tests.cluster`, as root.

sshd and pdsh are Debian's, in a stand-in of the stack's base: an image for SEVERAL_IMAGE of these tests, and for no measurement.
"""

import os

from runner.host.images import build
from runner.host.readers import lockfile
from tests.images import bases

BASE = "localhost/bloomz-bench/stand-in-slim-with-ssh:latest"
PROGRAMS = ("openssh-client", "openssh-server", "pdsh")


def main() -> None:
    os.environ.update(BUILDAH_ISOLATION="oci", BUILDAH_RUNTIME="runc")  # as tests/images builds
    bases.debian(BASE, "python3", "libstdc++6", *PROGRAMS)
    print(build.execute(build.plan(lockfile.read(), "cpu", BASE)).tag)


if __name__ == "__main__":
    main()

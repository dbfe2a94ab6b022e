"""The verb ``sshd``: let the first host of a hostfile start ranks here, as this very user, in this very environment.

A container has no login and no init: sshd runs as the container's user, on a port that needs no privilege, and admits one key. What
the device plugin put into the environment would else not reach a rank that is started over ssh.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

from runner.contract import arguments as flags
from runner.contract.arguments import verb_parser
from runner.contract.errors import InputError, LaunchFailed

# what describes a process or a login, and is wrong in another one
NOT_HANDED_ON = ("_", "HOME", "HOSTNAME", "LOGNAME", "OLDPWD", "PWD", "SHELL", "SHLVL", "TERM", "USER")


def parser():
    described = verb_parser(
        "sshd",
        description="Serve ssh for this user alone, with its environment, until stopped. For pods of one run on several nodes.",
    )
    described.add_argument("--port", type=flags.port, default=2222, metavar="PORT", help="default: %(default)s")
    described.add_argument("--keys", required=True, metavar="FOLDER", help="folder with the file authorized_keys")
    return described


def main(arguments):
    """Become sshd; returns only by raising ``LaunchFailed`` or ``InputError``."""
    options = parser().parse_args(arguments)
    keys = os.path.join(options.keys, "authorized_keys")
    if not os.path.isfile(keys):
        raise InputError(
            f"{keys} is not there: nobody could start ranks here. Mount the Secret with the keys of the run."
        )
    server, keygen = _program("sshd"), _program("ssh-keygen")
    try:
        folder = tempfile.mkdtemp(prefix="sshd-")
        host_key, path = os.path.join(folder, "host_key"), os.path.join(folder, "sshd_config")
        made = subprocess.run(
            [keygen, "-q", "-t", "ed25519", "-N", "", "-f", host_key], capture_output=True, text=True, errors="replace"
        )
        if made.returncode:
            raise LaunchFailed(f"{keygen} made no key for this host: {made.stderr.strip() or made.returncode}.")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration(options.port, keys, host_key, os.environ))
        os.execv(server, [server, "-D", "-e", "-f", path])  # noqa: S606 - a list, and no shell
    except OSError as problem:
        raise LaunchFailed(
            f"sshd could not be started: {problem.strerror} ({problem.filename or server}). Set TMPDIR to a folder with room."
        ) from None


def _program(name):
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        raise LaunchFailed(f"{name} is not in this image. Several nodes need OpenSSH's server in it.")
    return path


def configuration(port, keys, host_key, variables):
    """Return the text of sshd_config: this user's key and no password, no forwarding, and the variables of this process."""
    lines = [
        f"Port {port}",
        f"HostKey {host_key}",
        f"AuthorizedKeysFile {keys}",
        "StrictModes no",  # the keys are a mounted Secret, which belongs to root
        "PidFile none",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "AllowTcpForwarding no",
        "AllowAgentForwarding no",
        "X11Forwarding no",
        "PermitTunnel no",
        "PermitUserRC no",
        "MaxStartups 64",
        "MaxSessions 64",
        "ClientAliveInterval 30",
    ]
    handed = [f'"{name}={value}"' for name, value in sorted(variables.items()) if _can_be_handed_on(name, value)]
    return "\n".join([*lines, *(["SetEnv " + " ".join(handed)] if handed else [])]) + "\n"


def _can_be_handed_on(name, value):
    return name not in NOT_HANDED_ON and not {'"', "\n", "\\"} & set(name + value)

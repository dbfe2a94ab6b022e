"""The verb ``sshd``: let the first host of a hostfile start ranks in this container, with its user and environment.

A container has no login and no init. sshd runs as the container's user, on a port that needs no privilege, and admits
the run's keys only. sshd hands on the variables of this process: a rank that is started over ssh would otherwise lack
those of the device plugin.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from typing import Mapping, NoReturn, Sequence

from runner.contract import arguments as flag_types
from runner.contract.arguments import verb_parser
from runner.contract.errors import InputError, LaunchFailed

# Variables that describe one process or one login.
NOT_HANDED_ON = ("_", "HOME", "HOSTNAME", "LOGNAME", "OLDPWD", "PWD", "SHELL", "SHLVL", "TERM", "USER")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verb's flags."""
    flags = verb_parser(
        "sshd",
        description="Serve ssh for this user alone, with its environment, until stopped. For pods of one run on several nodes.",
    )
    flags.add_argument("--port", type=flag_types.port, default=2222, metavar="PORT", help="default: %(default)s")
    flags.add_argument("--keys", required=True, metavar="FOLDER", help="folder with the file authorized_keys")
    return flags


def main(arguments: Sequence[str]) -> NoReturn:
    """Replace this process by sshd.

    Raises ``InputError`` without keys, ``LaunchFailed`` where sshd cannot be started.
    """
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
        generated = subprocess.run(
            [keygen, "-q", "-t", "ed25519", "-N", "", "-f", host_key], capture_output=True, text=True, errors="replace"
        )
        if generated.returncode:
            reason = generated.stderr.strip() or generated.returncode
            raise LaunchFailed(f"{keygen} made no key for this host: {reason}.")
        with open(path, "w", encoding="utf-8") as file:
            file.write(configuration(options.port, keys, host_key, os.environ))
        # A list of words: no shell reads them.
        os.execv(server, [server, "-D", "-e", "-f", path])  # noqa: S606
    except OSError as problem:
        raise LaunchFailed(
            f"sshd could not be started: {problem.strerror} ({problem.filename or server}). Set TMPDIR to a folder with room."
        ) from None


def _program(name: str) -> str:
    """Return the path of a program. Raises ``LaunchFailed`` where the image lacks it."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        raise LaunchFailed(f"{name} is not in this image. Several nodes need OpenSSH's server in it.")
    return path


def configuration(port: int, keys: str, host_key: str, variables: Mapping[str, str]) -> str:
    """Return the text of sshd_config: keys and no password, no forwarding, and ``variables`` for every rank."""
    lines = [
        f"Port {port}",
        f"HostKey {host_key}",
        f"AuthorizedKeysFile {keys}",
        # The keys are a mounted Secret, which belongs to root.
        "StrictModes no",
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
    assignments = [f'"{name}={value}"' for name, value in sorted(variables.items()) if _can_be_handed_on(name, value)]
    return "\n".join([*lines, *(["SetEnv " + " ".join(assignments)] if assignments else [])]) + "\n"


def _can_be_handed_on(name: str, value: str) -> bool:
    """Return whether a variable concerns ranks, and can be written in sshd_config, which has no escapes."""
    return name not in NOT_HANDED_ON and not {'"', "\n", "\\"} & set(name + value)

"""What Debian's servers need to run beside a test, without the system's files."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["program", "rabbitmq_environment", "ssh_files", "ssh_user"]

RABBITMQ_FILES = (
    "CONFIG_FILE",
    "CONF_ENV_FILE",
    "ENABLED_PLUGINS_FILE",
    "GENERATED_CONFIG_DIR",
    "LOG_BASE",
    "MNESIA_BASE",
)


def program(name: str, folder: str, package: str) -> str:
    """Return the path of the program *name* in *folder*, or skip the test."""
    path = shutil.which(name, path=folder)
    if path is None:
        pytest.skip(f"needs {folder}/{name}, of the package {package}")
    return path


@contextmanager
def rabbitmq_environment(host: str, folder: Path) -> Iterator[dict[str, str]]:
    """Give the environment of a RabbitMQ on *host*, whose files are in *folder*.

    Erlang would start its port mapper, epmd, as a daemon that never ends, so one of the
    test's own runs meanwhile.
    """
    epmd = program("epmd", "/usr/bin", "erlang-base")
    # epmd listens on 127.0.0.1, too, whatever its address.
    port = random.randrange(10_000, 30_000)
    mapper = {"ERL_EPMD_ADDRESS": host, "ERL_EPMD_PORT": str(port)}
    files = {name: str(folder / name.lower()) for name in RABBITMQ_FILES}
    interface = f"{{{host.replace('.', ',')}}}"
    settings = files | {
        "DIST_PORT": str(port + 1),
        "LOG": "warning",
        "LOGS": "-",
        "NODE_IP_ADDRESS": host,
        "NODE_PORT": "5672",
        "NODENAME": "test@localhost",
        "SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {interface}",
    }
    named = {f"RABBITMQ_{name}": value for name, value in settings.items()}
    env = {**os.environ, "HOME": str(folder), **mapper, **named}
    with subprocess.Popen([epmd], env=env) as process:
        try:
            yield env
        finally:
            process.kill()


def ssh_files(host: str, folder: Path) -> tuple[str, ...]:
    """Make keys in *folder*, and return the arguments of an sshd on *host*.

    "key" is accepted from the user who runs it; "known_hosts" knows the server.
    """
    keygen = program("ssh-keygen", "/usr/bin", "openssh-client")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists, and the service makes it
    for name in ("key", "host_key"):
        quiet = (keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        subprocess.run(quiet, check=True)
    host_key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[{host}]:2222 {host_key}")
    settings = (
        f"ListenAddress={host}:2222",
        f"HostKey={folder / 'host_key'}",
        f"AuthorizedKeysFile={folder / 'key.pub'}",
        "PidFile=none",
        "StrictModes=no",
        "UsePAM=no",
    )
    options = (word for setting in settings for word in ("-o", setting))
    return ("-D", "-e", "-f", "/dev/null", *options)


def ssh_user() -> str:
    """Return the name of the user of the tests, or skip if nobody could log in."""
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        pytest.skip("sshd knows no user with this number")
    if user.pw_shell.endswith(("/false", "/nologin")):
        pytest.skip(f"sshd runs commands with the user's shell, {user.pw_shell}")
    return user.pw_name

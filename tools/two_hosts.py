"""Two hosts on one machine: network namespaces with a cable between them, whose rate and latency are chosen.

Needs Linux, root, and the programs `ip` and `tc`.  The rate is limited by the token bucket filter of the kernel (tbf),
or together with a latency by netem, which not every kernel has.
"""
import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NET = "10.199.77"
SETTLE = 3.0            # seconds until new devices are used: MPI waits for ever for what it sends earlier
CABLE = "cable"         # the device at both ends
# what mpiexec starts in place of ssh: options, the host, the command
SSH = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
host=$1; shift
exec ip netns exec "NAME-${host##*.}" sh -c "$*"
"""


class Link(NamedTuple):
    """rate: as `tc` writes it, such as 100mbit; latency: of each packet, such as 1ms, or None."""
    rate: str
    latency: str | None = None


def shape(link: Link) -> list[str]:
    """The queueing discipline of each end."""
    if link.latency:
        return ["netem", "rate", link.rate, "delay", link.latency]
    return ["tbf", "rate", link.rate, "burst", "256kb", "latency", "50ms"]


def obstacle() -> str:
    """Why two hosts cannot be made here; "" where they can."""
    missing = [name for name in ("ip", "tc", "mpiexec") if not shutil.which(name)]
    if missing:
        return f"there is no program {', '.join(missing)} here"
    if not hasattr(os, "geteuid") or os.geteuid():
        return "network namespaces are made by root"
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


@contextlib.contextmanager
def two_hosts(link: Link) -> Iterator[tuple[tuple[str, ...], tuple[tuple[str, str], ...]]]:
    """-> the words that start one rank on each host, with -n 2 behind them, and variables for it.  SystemExit where it
    is not possible."""
    if problem := obstacle():
        raise SystemExit(f"two hosts cannot be made: {problem}")
    name = f"cfgrunner{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        launcher = Path(folder) / "launcher"
        launcher.write_text(SSH.replace("NAME", name))
        launcher.chmod(0o755)
        try:
            for k in (1, 2):
                _run("ip", "netns", "add", f"{name}-{k}")
            _run("ip", "-n", f"{name}-1", "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns",
                 f"{name}-2")
            for k in (1, 2):
                _run("ip", "-n", f"{name}-{k}", "addr", "add", f"{NET}.{k}/24", "dev", CABLE)
                for device in ("lo", CABLE):
                    _run("ip", "-n", f"{name}-{k}", "link", "set", device, "up")
                _run("tc", "-n", f"{name}-{k}", "qdisc", "add", "dev", CABLE, "root", *shape(link))
            time.sleep(SETTLE)
            yield (("ip", "netns", "exec", f"{name}-1", "mpiexec", "-launcher", "ssh", "-launcher-exec", str(launcher),
                    "-hosts", f"{NET}.1,{NET}.2", "-ppn", "1"),
                   # over TCP: else ranks on one machine would use its shared memory
                   (("MPIR_CVAR_CH4_NETMOD", "ofi"), ("FI_PROVIDER", "tcp;ofi_rxm"), ("FI_TCP_IFACE", CABLE)))
        finally:
            for k in (1, 2):
                subprocess.run(["ip", "netns", "del", f"{name}-{k}"], capture_output=True, check=False)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode or "Error" in done.stderr:
        raise SystemExit(f"{shlex.join(words)}: {done.stderr.strip()}")

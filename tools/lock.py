"""Write requirements/constraints.txt: every version in the running environment, direct or transitive.

Run it in the venv after changing a pin on purpose: `python tools/lock.py > requirements/constraints.txt`.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distributions

# built for this machine's own use or versioned by the venv itself
LEFT_OUT = {"pip"}


def installed_by_pip(distribution: Distribution) -> bool:
    """The ROS wheels carry metadata of packages inside them, which exist on no index; pip marks its own."""
    return (distribution.read_text("INSTALLER") or "").strip() == "pip"


def main() -> int:
    pins = set()
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        if name not in LEFT_OUT and installed_by_pip(distribution):
            # a local suffix names a build (2.13.0+cpu); the pin leaves the choice of the build to the user
            pins.add(f"{name}=={distribution.version.split('+')[0]}")
    print(
        "# Every version, direct and transitive, as tools/lock.py found it. The direct ones are explained in the lists"
    )
    print(
        "# beside this file; install those with: pip install -r requirements/LIST.txt -c requirements/constraints.txt"
    )
    print("\n".join(sorted(pins)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

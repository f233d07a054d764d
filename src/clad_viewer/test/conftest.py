"""`graph`: nodes over real DDS."""

import sys
from pathlib import Path

from clad_ros.testing import graph  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))  # test helpers are plain modules beside this file

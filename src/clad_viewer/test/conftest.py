"""`graph`: nodes over real DDS."""

from clad_ros.testing import graph  # noqa: F401

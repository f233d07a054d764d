#!/usr/bin/env bash
# The command given to `docker run`, with ROS 2 and this workspace sourced.
set -e
source /opt/ros/jazzy/setup.bash
source /clad/install/setup.bash
exec "$@"

"""A live page for a running graph: the thin ROS edge of clad.look."""

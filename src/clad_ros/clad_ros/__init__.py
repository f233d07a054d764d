"""What every node shares. Nothing in here decides anything: the work is in `clad`, which knows no ROS."""

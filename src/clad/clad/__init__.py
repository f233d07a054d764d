"""CLaD without ROS: everything that can be tested without a graph lives here and imports no rclpy."""

__version__ = "0.1.0"

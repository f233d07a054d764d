"""What a rosbag2 recording holds, read without ROS: messages, what an episode came to, and whether it repeats."""

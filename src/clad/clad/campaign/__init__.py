"""Campaigns: many episodes under many conditions from one YAML file. What is to be run, and what has been. Needs no ROS."""

"""A page that shows a running graph or a recording: cameras, foresight, plans, rates, states, outcomes. Built on Rerun.

Fed with messages of whatever decoder, so that a live graph and a bag look alike; needs no ROS.
"""

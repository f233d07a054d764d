"""Scripted experts: they know the poses in the simulator, and act through the ordinary 7-D action."""

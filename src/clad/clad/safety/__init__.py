"""The safety filter between a policy and a driver: every command that leaves it is finite and within the robot's limits."""

from clad.safety.filter import SafetyFilter
from clad.safety.types import CartesianCommand, JointCommand, Measured, Reason, State, Verdict

__all__ = ["CartesianCommand", "JointCommand", "Measured", "Reason", "SafetyFilter", "State", "Verdict"]

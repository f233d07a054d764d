"""What stands between an action chunk and an arm's driver, without ROS: conversion, kinematics, trajectories."""

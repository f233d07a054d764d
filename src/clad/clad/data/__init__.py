"""Demonstrations: one Episode type, and the files that episodes come from."""

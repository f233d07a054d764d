"""Experiments that vary one thing of how a model is run, and measure what becomes of it."""

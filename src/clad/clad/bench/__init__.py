"""How quick a model is here: measured against a memory floor and torch eager, in one run."""

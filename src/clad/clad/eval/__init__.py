"""Statistics, result.json, tables and video: what an evaluation leaves behind, in process or through the graph."""

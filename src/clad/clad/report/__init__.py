"""Reports on recordings: tables, comparisons of two sets, plots, one HTML page."""

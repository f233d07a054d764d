"""What the graph does when something breaks: real nodes, real DDS, one fault at a time."""

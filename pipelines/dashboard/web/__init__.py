"""Web plumbing of the control panel: background work, connections, static files, SVG."""

"""The control panel's web server: application, panel, errors, static files."""

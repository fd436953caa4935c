"""Access to the control panel: logins, sessions, visitors and their limits."""

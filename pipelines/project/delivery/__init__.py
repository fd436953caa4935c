"""Handing messages to other servers, which may fail, hang or answer half."""

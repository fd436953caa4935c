"""Agents: the pages of the control panel as tools that language models may call."""

"""Timing: when a contract lets an account leave, and what that makes of the risk at a decision."""

"""Mapping: the contract, how a user's columns meet it, and which rows count."""

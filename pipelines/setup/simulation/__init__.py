"""The parts of the demo company: who it serves, what they do, why they leave, how it is written."""

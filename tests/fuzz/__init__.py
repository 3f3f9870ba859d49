"""Malformed inputs by the thousand: ``python -m tests.fuzz``."""

"""A machine of our own for the tests: another Debian with its own kernel, engine and cgroups.

``python -m tests.vm bookworm`` builds an image of that suite once, boots it without a network,
runs the tests with real containers inside and brings back what they wrote. See
docs/decisions/020 for why it is made so, and ``image`` and ``machine`` for how.
"""

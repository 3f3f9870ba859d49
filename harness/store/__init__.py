"""The sole owner of what is kept.

That is ``results/`` and the baselines: what is in them, and in which form.

A file is there whole or not at all, and what an older version wrote is read for ever.
"""

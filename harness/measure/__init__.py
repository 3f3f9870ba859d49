"""Executes a plan: trials on an engine, observed from outside, one after another.

Hides how a container is talked to and sampled; offers ``runner.run_plan``. Judges only what decides
whether a trial counts and whether more are needed.
"""

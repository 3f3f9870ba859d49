"""From records to verdicts: metrics, estimates, laws, validity, read-backs. Pure; knows no engine.

Works on any run, however old: ``run.points`` is what all that shows or compares begins with.
"""

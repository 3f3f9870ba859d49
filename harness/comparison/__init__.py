"""What changed from run to run. Pure; knows no engine.

Between two runs or many: what changed, whether it matters, and why.
"""

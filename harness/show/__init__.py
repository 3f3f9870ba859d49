"""A run, or several, in the forms that readers want.

For people and other tools: frames, exports, figures, reports, notebooks.

Knows no engine; everything here can be made again from an old run.
"""

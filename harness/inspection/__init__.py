"""What a window tells of a container that somebody else runs.

The container is observed for that window; whoever asks is told what that means.
"""

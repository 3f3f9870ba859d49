"""This host: its facts, its conditions of the moment, its counters at the edges of a window.

Foreign CPU is the root cgroup's usage less the containers' (nanoseconds); /proc/stat and psutil
are charged by the tick and read twice too high here. Steal exists only in /proc/stat.
"""

"""The engine: which one answers, its containers, the probe's image, the private daemon.

The only folder that imports docker. ``boundary`` is what the rest of the harness sees of it, and
loads no docker; ``docker_engine`` and ``connect`` are what stands behind it.
"""

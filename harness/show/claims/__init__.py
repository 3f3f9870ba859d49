"""Every form of a run of claims, from one view (``view``)."""

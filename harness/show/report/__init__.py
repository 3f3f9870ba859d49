"""Every form of a report, from one view-model (``report.view``).

Terminal, Markdown, JSON and HTML.
"""

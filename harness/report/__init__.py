"""Terminal, Markdown, JSON and HTML from one view-model (``report.view``)."""

"""The textbook put to the test: sentences about containers, each with the experiment that decides.

A claim is data (``claim``); a file a topic holds its claims and their experiments, ``catalogue``
all of them. An experiment is one function of a ``Laboratory`` (``harness.engine.laboratory``) that
returns a ``Finding``. What rests on measured CPU or memory is measured and judged as sweeps are
(``measured``): there are no windows, laws or tolerances of its own here.

Adding a claim: one entry in its topic's file, and at most one function beside it.
"""

"""Which limit a program needs: the least at which a goal holds, with its bracket.

``goal`` reads what is asked for, ``ladder`` has the settings of a limit that may be tried,
``response`` says whether a trial held, ``threshold`` what trials say of the edge between failing
and holding, ``search`` which settings come next, ``finding`` makes trials of a run of that and its
answer, ``advice`` the lines to paste. Pure: all of it follows from a run's plan, purpose and
trials, so that a run that was killed goes on as it would have, and an old one can be asked again.
Knows no engine.
"""

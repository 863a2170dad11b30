"""Players, controls and explorers for notebooks.

Conventions: sound is mono, float, full scale +-1, shape (samples,); all clips of a comparison are played in step and
with one common gain, which is shown. An explorer is built once and changed in place: while a control moves it redraws
what is a formula; when the control rests it runs the model in a worker thread, for the latest request only. What goes
wrong is written into the panel, in words. Nothing heavy is imported before an explorer or a player is asked for.

=======================  ==========================================================================
``players.listen``       one player for several clips, one gain (``player.Player`` with ``player.js``)
``explore``              the explorers, one per paper (``an.explore.variance_scale()``)
``base``                 the panel behind every explorer: preview at once, a slow job at rest
``panel``                what explorers of a model share, and how a new one is written
``paper``                what the explorers of networks share: a choice of them, views in tabs
``parts``                the small parts that panels are made of
``controls.LatestJob``   one slow job at a time, the latest request only, debounced, cached
``chart``                lines and points that follow a control within milliseconds (``chart.js``)
``clips``                what can be listened to: pairs, uploads, recordings (``recorder.js``)
``tries``                one run of a model with its sounds, scores and steps
``stored``               scores that stand in the user's store already
``scrubber``             the reverse process step by step
``report``               verdicts on a paper's claims, its figures, a part of its grid run again
``classroom``            all explorers on one page, for ``make app`` (``app.ipynb``)
=======================  ==========================================================================
"""

from analysis.widgets.players import listen

__all__ = ["listen"]

"""Players, controls and explorers for notebooks.

Conventions: sound is mono, float, full scale +-1, shape (samples,); all clips of a comparison are played with one
common gain, which is shown. An explorer is built once and changed in place: while a control moves it redraws what is a
formula; when the control rests it runs the model in a worker thread, for the latest request only. What goes wrong is
written into the panel, in words. Nothing heavy is imported before an explorer is asked for.

=======================  ==========================================================================
``players.listen``       one player per clip, one gain
``explore``              the explorers, one per paper (``an.explore.variance_scale()``)
``controls.LatestJob``   one slow job at a time, the latest request only, debounced, cached
``pictures``             figures that are drawn once and changed in place
``panel``                the parts that explorers share: controls, message line, progress bar, scores
=======================  ==========================================================================
"""

from analysis.widgets.players import Players, listen

__all__ = ["Players", "listen"]

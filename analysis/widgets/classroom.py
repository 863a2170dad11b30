"""All explorers on one page, for a classroom: a tab each, built when it is first looked at."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from analysis.widgets import explore
from analysis.widgets.parts import alert

__all__ = ["EXPLORERS", "Classroom"]

#: Title of a tab -> the explorer in it.
EXPLORERS: dict[str, Callable] = {
    "Tour": explore.tour,
    "1 Variance": explore.variance_scale,
    "2 Design space": explore.design_space,
    "3 Joint decoders": explore.joint_decoders,
    "4 Weighted loss": explore.weighted_loss,
}


class Classroom(widgets.Tab):
    """The explorers in tabs; ``explorers`` are those that were opened, by title. ``model``: for all of them."""

    def __init__(self, model=None):
        self.model = model
        self.explorers: dict[str, widgets.Widget] = {}
        super().__init__([widgets.VBox() for _ in EXPLORERS], titles=tuple(EXPLORERS), selected_index=0)
        self.observe(lambda change: self._open(change.new), names="selected_index")
        self._open(0)

    def _open(self, index: int | None) -> None:
        """Build the explorer of a tab, once; what goes wrong stands in its place."""
        if index is None or (title := self.titles[index]) in self.explorers:
            return
        place = self.children[index]
        place.children = [widgets.HTML("loading …")]
        make = EXPLORERS[title]
        try:
            self.explorers[title] = make() if make is explore.tour else make(model=self.model)
            place.children = [self.explorers[title]]
        except Exception as error:
            place.children = [widgets.HTML(alert(error))]

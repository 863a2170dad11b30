"""What the explorers of the papers share beyond a panel: a choice of networks, views in tabs, formulas to play with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import ipywidgets as widgets
import numpy as np

from analysis.checkpoints import FLAGSHIP, ZOO, Model, list_models, load_model
from analysis.errors import check
from analysis.preconditioning import Preconditioning
from analysis.sampling import Trajectory
from analysis.widgets.panel import ModelExplorer
from analysis.widgets.parts import choice

__all__ = ["GREY", "Networks", "PaperExplorer", "predictor_calls"]

GREY = "#888888"
_HEIGHT = 178  # pixels of a chart in a tab


class Networks:
    """Models by name, each loaded when it is first asked for.

    ``wanted``: names in order of preference. ``names``: those that are shipped, and the flagship; a ``model`` that is
    given stands first. ``missing``: the others of ``wanted``.
    """

    def __init__(self, wanted: Sequence[str], model: Model | None = None):
        shipped = list_models()
        self._loaded: dict[str, Model] = {} if model is None else {model.name: model}
        found = [name for name in dict.fromkeys([*wanted, FLAGSHIP]) if name in shipped]
        self.names = list(dict.fromkeys([*self._loaded, *found]))
        check(bool(self.names), "model", "none shipped", "a model folder, since the zoo is empty")
        self.missing = [name for name in wanted if name not in self.names]

    def __getitem__(self, name: str) -> Model:
        if name not in self._loaded:
            self._loaded[name] = load_model(name)
        return self._loaded[name]

    def preconditioning(self, name: str) -> Preconditioning:
        """The set of coefficients of a network, with the usual sigma_data; its weights are not loaded for that."""
        if name in self._loaded:
            return self._loaded[name].denoiser.preconditioning.replace(sigma_data=Preconditioning.sigma_data)
        return Preconditioning(**self._config(name)["preconditioning"]).replace(sigma_data=Preconditioning.sigma_data)

    def decoders(self, name: str) -> bool:
        """Whether a network has a second, predictive decoder."""
        if name in self._loaded:
            return self._loaded[name].denoiser.has_predictive
        return str(self._config(name).get("kind", "")).startswith("joint")

    def second_share(self, name: str) -> float:
        """Parameters of the second decoder over those of the rest; 0 for a network without one."""
        sizes = {part: parameter.numel() for part, parameter in self[name].network.named_parameters()}
        second = sum(size for part, size in sizes.items() if part.startswith("predictive."))
        return second / max(1, sum(sizes.values()) - second)

    def control(self) -> widgets.Widget:
        """The drop-down list of the names."""
        return choice("network", self.names, self.names[0], many=0)

    def _config(self, name: str) -> dict:
        return json.loads((ZOO / name / "config.json").read_text(encoding="utf-8"))

    @property
    def words(self) -> str:
        """Which models are missing, as a sentence; empty where none is."""
        if not self.missing:
            return ""
        return f"Not shipped here, so not to be heard: {', '.join(self.missing)}."


class PaperExplorer(ModelExplorer):
    """An explorer of several networks with its views in tabs.

    ``wanted``: names of the networks that the paper is about, in order of preference. ``networks`` are those that are
    there.
    """

    wanted: tuple[str, ...] = ()
    folded = ("start", "prior", "fusion", "seed")

    def __init__(self, model: Model | None, pairs: Sequence, clip: str, **settings):
        self.networks = Networks(self.wanted, model)
        self._drawn: dict[str, object] = {}
        super().__init__(self.networks[self.networks.names[0]], pairs, clip, **settings)

    def _model(self, position) -> Model:
        return self.networks[position.network]

    # -- views -----------------------------------------------------------------------------------
    def _tabbed(self, views: dict[str, Sequence[widgets.Widget]]) -> list[widgets.Widget]:
        """One view whose tabs have the titles of ``views``; charts of a tab stand side by side."""
        rows = []
        for parts in views.values():
            for part in parts:
                words = isinstance(part, widgets.HTML)  # a table wants more room than a chart
                part.layout = widgets.Layout(flex="3 1 320px" if words else "2 1 220px", min_width="0")
                part.height = _HEIGHT
            rows.append(widgets.HBox(list(parts), layout=widgets.Layout(flex_flow="row wrap", width="100%")))
        self.pages = widgets.Tab(rows, titles=tuple(views))
        return [self.pages]

    def _arrange(self, views: list[widgets.Widget]) -> None:
        """The trade-off plane becomes the last tab, so that what can be heard stays on the same screen."""
        super()._arrange(views)
        self.children[0].children[1].children[0].children = tuple(views)
        self.pages.layout = self.plane.layout = widgets.Layout(width="100%")
        self.pages.children = (*self.pages.children, widgets.HBox([self.plane]))
        self.pages.set_title(len(self.pages.children) - 1, "Trade-off")

    def _once(self, name: str, key: object, draw: Callable[[], None]) -> None:
        """Call ``draw`` unless the picture of this name was last drawn for an equal ``key``."""
        if self._drawn.get(name) != key:
            draw()
            self._drawn[name] = key


def predictor_calls(record: Trajectory) -> np.ndarray:
    """Places of a record's evaluations that are no corrector's, one per step."""
    return np.flatnonzero(~np.asarray(record.corrector, dtype=bool))

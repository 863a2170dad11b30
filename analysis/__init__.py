"""See, hear and measure what the noise does in diffusion-based speech enhancement.

Everything a reader of a notebook needs hangs on this one name::

    import analysis as an
    model = an.load_model()
    pair = an.load_pair("demo-01")
    run = an.enhance(model, pair.noisy)
    an.score(pair.clean, pair.noisy, run.audio)
    an.listen(noisy=pair.noisy, enhanced=run.audio, clean=pair.clean)

Names are imported when they are first asked for, so that ``import analysis`` loads nothing else:
the table below says where each public name lives, and every module of the package is there under
its own name (``an.sde.OUVE``).
"""

import importlib
import pkgutil

__version__ = "0.1.0"

_PUBLIC = {
    "list_models": "analysis.checkpoints:list_models",
    "load_model": "analysis.checkpoints:load_model",
    "import_checkpoint": "analysis.importers:import_checkpoint",
    "load_pair": "analysis.datasets:load_pair",
    "load_pairs": "analysis.datasets:load_pairs",
    "enhance": "analysis.enhancement:enhance",
    "enhance_batch": "analysis.enhancement:enhance_batch",
    "score": "analysis.metrics:score",
    "Grid": "analysis.experiments:Grid",
    "ablate": "analysis.experiments:ablate",
    "claims": "analysis.experiments.claims:claims",
    "training_log": "analysis.logs:training_log",
    "listen": "analysis.widgets.players:listen",
    "explore": "analysis.widgets.explore",
    "plot": "analysis.plotting",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str):
    """Import a public name or a module of the package the first time it is asked for (PEP 562)."""
    place = _PUBLIC.get(name) or (f"{__name__}.{name}" if name in _modules() else None)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    value = importlib.import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*_PUBLIC, *_modules(), "__version__"})


def _modules() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}

"""The style stays where it belongs, and files are whole and reproducible."""

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from analysis.errors import ArgumentError
from analysis.plotting import STYLE, moments, savefig, spectrogram, styled
from analysis.plotting.style import _drawn
from analysis.sde import OUVE


def drawn():
    axes = Figure(figsize=(4, 2)).subplots(1, 2)
    return moments([OUVE(), OUVE(variance_scale=2)], ax=axes)[0].figure


def test_the_style_does_not_leak():
    before = dict(mpl.rcParams)
    moments(OUVE())
    spectrogram([0.0, 0.1])
    assert dict(mpl.rcParams) == before
    assert styled(lambda: mpl.rcParams["savefig.dpi"])() == 220 and STYLE.suffix == ".mplstyle"
    assert styled(lambda: mpl.rcParams["text.usetex"])() is False


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first = savefig(drawn(), tmp_path / "a" / "one", ("png", "pdf", "svg"))
    second = savefig(drawn(), tmp_path / "two", ("png", "pdf", "svg"))
    assert [path.name for path in first] == ["one.png", "one.pdf", "one.svg"]
    for a, b in zip(first, second, strict=True):
        data = a.read_bytes()
        assert data == b.read_bytes() and len(data) > 3000
        assert b"Matplotlib v" not in data and b"CreationDate" not in data and b"<dc:date>" not in data


def test_saving_takes_axes_and_keeps_dots_in_names(tmp_path):
    (path,) = savefig(drawn().axes[0], tmp_path / "rho_0.5", "png")
    assert path.name == "rho_0.5.png" and path.exists()


def test_nothing_is_written_when_one_format_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "analysis.plotting.style._drawn", lambda fig, name: _drawn(fig, name) if name == "png" else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        savefig(drawn(), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_bad_formats_and_folders_are_named(tmp_path):
    with pytest.raises(ArgumentError, match="^formats: got gif, wanted 'one of png, pdf, svg'|^formats: got gif"):
        savefig(drawn(), tmp_path / "x", ("png", "gif"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="^stem: "):
        savefig(drawn(), tmp_path / "file" / "x", "png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

"""All explorers on one page: built when they are opened, once, and a failure stays in its tab."""

from analysis.widgets import classroom
from analysis.widgets.classroom import EXPLORERS, Classroom
from analysis.widgets.tour import TourExplorer


def test_an_explorer_is_built_when_its_tab_is_opened_and_once(tiny, monkeypatch):
    built = []

    def make(model):
        built.append(model)
        return TourExplorer()

    names = list(EXPLORERS)
    monkeypatch.setitem(classroom.EXPLORERS, names[1], make)
    page = Classroom(model=tiny)
    assert list(page.explorers) == ["Tour"] and built == []
    for index in (1, 0, 1):
        page.selected_index = index
    assert built == [tiny] and page.children[1].children == (page.explorers[names[1]],)


def test_what_goes_wrong_stands_in_the_tab_in_words(monkeypatch):
    def broken(model):
        raise RuntimeError("no <weights>")

    name = list(EXPLORERS)[2]
    monkeypatch.setitem(classroom.EXPLORERS, name, broken)
    page = Classroom()
    page.selected_index = 2
    assert "RuntimeError: no &lt;weights&gt;" in page.children[2].children[0].value and name not in page.explorers


def test_every_explorer_of_the_package_is_there():
    from analysis.widgets import explore

    others = {"classroom", "figures", "run_again", "verdicts"}
    assert {make.__name__ for make in EXPLORERS.values()} == set(explore.__all__) - others

"""Help like a manual page for every verb, and completion that answers without loading torch."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from analysis.cli import app, main


def commands(group=None, before=()):
    """Every verb, as the words that call it, and its command."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name), command


ALL = dict(commands())
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_verb_has_help_with_an_example_that_exists(capsys, words):
    assert main([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: python -m analysis {' '.join(words)}")
    lines = text.splitlines()
    first = lines[2].strip()
    assert first[0].isupper() and "  " not in first
    assert "Example" in text
    examples = re.findall(r"-m analysis (.*)", text)[1:]
    mine = [line for line in examples if line.split()[: len(words)] == list(words)]
    assert mine, "none of the examples calls the verb"
    known = {name for parameter in ALL[words].params for name in (*parameter.opts, *parameter.secondary_opts)}
    for line in mine:
        used = {word for word in line.split() if re.fullmatch(r"--?[a-z].*", word)}
        assert used <= known, f"an example uses {used - known}"
        parsed(line)


def parsed(line):
    """A command line as the verb itself takes it apart; a wrong option, value or missing argument raises."""
    command, words = typer.main.get_command(app), shlex.split(line, comments=True)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    return command.make_context("verb", words)


DOCUMENTS = ["README.md", "data/README.md", "analysis/zoo/README.md"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_of_the_documents_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = re.findall(r"python -m analysis ([a-z][^`\n|]*)", text)
    assert lines
    for line in lines:
        if not re.search(r"[A-Z]{3,} \.\.\.|\.\.\.", line):  # a pattern, no command
            parsed(line)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_option_and_argument_is_explained(words):
    for parameter in ALL[words].params:
        if parameter.name != "help":
            assert (parameter.help or "").strip(), f"{parameter.name} has no help"


@pytest.mark.parametrize("words", [(), ("data",), ("bench",)], ids=" ".join)
def test_without_a_verb_the_help_is_shown_as_it_is(capsys, words):
    assert main([*words, "--help"]) == 0
    help_page = capsys.readouterr().out
    assert main(list(words)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.strip() == help_page.strip()


def test_the_front_page_names_every_verb(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in {words[0] for words in ALL})
    shown = text.split("Commands:")[1]
    assert "..." not in shown, "a verb's line on the front page is cut off: give it a short_help"


ASK = """
import os, sys
from analysis.cli import main
sys.argv[0] = "diffse"
for line in {lines!r}:
    os.environ["_DIFFSE_COMPLETE"] = "complete_bash"
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = line, str(len(line.split(" ")) - 1)
    os.environ["_TYPER_COMPLETE_ARGS"] = line
    print("?", line, flush=True)
    try:
        main([])
    except SystemExit:
        pass
    sys.stdout.flush()
print("! torch" if "torch" in sys.modules else "! light")
"""


def test_completion_answers_without_torch(tmp_path):
    split = tmp_path / "mine" / "test"
    split.mkdir(parents=True)
    (split / "manifest.json").write_text("{}")
    wanted = {
        "diffse enh": "enhance",
        "diffse data pre": "prepare",
        "diffse enhance --model fl": "flagship",
        "diffse enhance x.wav --st": "--steps",
        "diffse score --pairs mi": "mine/test",
        "diffse data fetch voice": "voicebank-demand-56",
        "diffse data check mi": "mine/test",
    }
    code = ASK.format(lines=list(wanted))
    environment = os.environ | {"DIFFSE_DATA": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert found.returncode == 0, found.stderr[-2000:]
    answers = {part.splitlines()[0]: part.splitlines()[1:] for part in found.stdout.split("? ")[1:]}
    for line, word in wanted.items():
        assert word in answers[line], (line, answers[line])
    assert found.stdout.rstrip().endswith("! light")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_shown_for_a_command_that_shells_know(capsys, monkeypatch, shell):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    try:
        code = main(["--show-completion", shell])
    except SystemExit as stop:
        code = stop.code
    text = capsys.readouterr().out
    assert code in (0, None) and "_DIFFSE_COMPLETE" in text and "python -m" not in text

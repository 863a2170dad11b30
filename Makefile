# Two commands: `make lab` and `make figures`. Each sets up .venv when it is not there yet.

PYTHON ?= python3
TORCH  ?= torch==2.13.0
UV     ?= $(shell command -v uv 2>/dev/null)
ARGS   ?=

# A PYTHON that was asked for is used or refused; otherwise the usual names are tried in turn.
OTHERS := $(if $(filter file,$(origin PYTHON)),python3.11 python3.12 python3.13)
RUN    := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: lab app browser figures test doctor clean help FORCE

lab: .venv/.ready ## open JupyterLab on notebooks/ (prints the address; works without a screen)
	@set --; [ "$$(id -u)" != 0 ] || set -- --allow-root; \
	[ "$$(uname)" = Darwin ] || [ -n "$${DISPLAY-}$${WAYLAND_DISPLAY-}$${BROWSER-}" ] || set -- "$$@" --no-browser; \
	PATH="$$PWD/.venv/bin:$$PATH" exec $(RUN) -m jupyterlab notebooks "$$@" $(ARGS)

app: .venv/.ready ## serve the explorers without code, for a classroom (http://localhost:8866)
	@$(RUN) -c 'import voila' 2>/dev/null || sh -c "$$EXTRA" extra app
	@PATH="$$PWD/.venv/bin:$$PATH" JUPYTER_PATH="$$PWD/analysis/widgets$${JUPYTER_PATH:+:$$JUPYTER_PATH}" \
	exec $(RUN) -m voila analysis/widgets/app.ipynb --template=offline --no-browser $(ARGS)

browser: .venv/.ready ## drive notebooks and app in a real Chromium; pictures go to results/screenshots
	@$(RUN) -c 'import playwright, voila' 2>/dev/null || sh -c "$$EXTRA" extra browser
	@$(RUN) -m pytest -m browser tests/browser $(ARGS)

figures: .venv/.ready ## run the main job: sweep the variance scale, draw results/figures
	@$(RUN) -m analysis figures variance --run $(ARGS)

test: .venv/.ready ## run the tests (ARGS="-k name" picks some)
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(RUN) -m pytest -n 2 --dist loadfile $(ARGS)

doctor: .venv/.ready ## say what is installed, what is missing, and whether it works
	@$(RUN) -m analysis doctor $(ARGS)

clean: ## remove .venv and what tools left behind; keeps results/ and runs/
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find analysis tests -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile
	@echo 'Set-up happens once, into .venv (PYTHON=..., TORCH=... change what it takes; UV= keeps to pip).'

# The stamp holds the folder it was made in: a moved or copied .venv, or one whose Python is gone, is made anew.
ifneq "$(shell cat .venv/.ready 2>/dev/null && [ -x $(RUN) ] || echo none)" "$(CURDIR)"
.venv/.ready: FORCE
endif
.venv/.ready: pyproject.toml
	@sh -c "$$SETUP"

# .venv/.unfinished is there from the first step to the last: what an interruption left behind is thrown away.
# The lock (on pyproject.toml, so that it needs no file of its own) makes a second `make` wait and then use the result.
define SETUP
set -eu
fits='import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13): sys.exit("is Python " + sys.version.split()[0])
try: import venv; "$(UV)" or __import__("ensurepip")
except ImportError: sys.exit("is Python " + sys.version.split()[0] + " without its venv module")'
python= tried=
for name in "$(PYTHON)" $(OTHERS); do
    if ! command -v "$$name" >/dev/null; then why='is not there'
    elif why=$$("$$name" -c "$$fits" 2>&1); then python=$$name; break
    fi
    tried="$$tried
    $$name $$(echo "$$why" | head -n 1)"
done
if [ -z "$$python" ]; then
    echo "set-up needs Python 3.11, 3.12 or 3.13 with its venv module; tried$$tried
    Install one (Debian, Ubuntu: apt install python3-venv), or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi

exec 9<pyproject.toml
"$$python" -c 'import fcntl
try: fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError: print("another make is setting up .venv: waiting for it", flush=True); fcntl.flock(9, fcntl.LOCK_EX)
except OSError: pass'
if [ "$$(cat .venv/.ready 2>/dev/null)" = "$$(pwd -P)" ]; then
    [ ! -x $(RUN) ] || [ pyproject.toml -nt .venv/.ready ] || exit 0
    [ -x $(RUN) ] || rm -rf .venv
elif [ -e .venv/.ready ] || [ -e .venv/.unfinished ]; then
    rm -rf .venv
fi

trap '[ $$? = 0 ] || echo "set-up did not finish; the next make starts it again.
    If pesq failed to build, a C compiler or the Python headers are missing (Debian, Ubuntu: apt install gcc python3-dev);
    conda users need neither: conda env create -f environment.yml" >&2' EXIT
mkdir -p .venv
rm -f .venv/.ready
touch .venv/.unfinished
has_torch() { $(RUN) -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; }
if [ -n "$(UV)" ]; then
    echo "Setting up .venv with uv and $$python: once, one to three minutes and about 2 GB"
    [ -x $(RUN) ] || "$(UV)" venv --quiet --allow-existing --python "$$python" .venv
    install() { "$(UV)" pip install --quiet --compile-bytecode --python $(RUN) "$$@"; }
    # uv does not read pip's settings: hand on the folders where pip would look for wheels first.
    links=$${UV_FIND_LINKS-$${PIP_FIND_LINKS-$$("$$python" -m pip config get global.find-links 2>/dev/null || true)}}
    UV_FIND_LINKS=$$(echo $$links | tr ' ' ,)
    export UV_FIND_LINKS
    # Otherwise uv finds the build that fits this machine (CPU where there is no GPU), where it reaches that index.
    has_torch || { [ -z "$$UV_FIND_LINKS" ] && install --torch-backend=auto $(TORCH) 2>/dev/null; } || install $(TORCH)
else
    echo "Setting up .venv with pip and $$python: once, one to three minutes and about 2 GB"
    [ -x $(RUN) ] || "$$python" -m venv .venv
    install() { $(RUN) -m pip install -qq --disable-pip-version-check "$$@"; }
    has_torch || install $(TORCH)
fi
install -e '.[test]'
pwd -P >.venv/.unfinished.path
touch -r .venv/.unfinished .venv/.unfinished.path
mv .venv/.unfinished.path .venv/.ready
rm -f .venv/.unfinished
echo "Set-up done."
endef
export SETUP

# Installs an extra of pyproject.toml ($1) into the environment that is there.
define EXTRA
set -eu
echo "Installing what '$$1' needs"
if [ -n "$(UV)" ]; then "$(UV)" pip install --quiet --python $(RUN) -e ".[$$1]"
else $(RUN) -m pip install -qq --disable-pip-version-check -e ".[$$1]"
fi
endef
export EXTRA

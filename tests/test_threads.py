"""What torch's threads leave to others."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

CODE = """
import os, time, torch
from analysis.threads import give_way

torch.set_num_threads(2)
torch.relu(torch.randn(3000, 1000))
before = len(os.listdir("/proc/self/task"))
give_way()
for _ in range(100):
    after = len(os.listdir("/proc/self/task"))
    if after < before:
        break
    time.sleep(0.05)
y = torch.relu(torch.randn(3000, 1000))
print(before, after, bool((y >= 0).all()), torch.get_num_threads())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_giving_way_ends_the_threads_of_the_pool_and_torch_goes_on():
    import torch

    if not list((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        pytest.skip("this torch has another OpenMP runtime")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    before, after, fine, threads = done.stdout.split()
    assert int(after) < int(before) and fine == "True" and threads == "2"

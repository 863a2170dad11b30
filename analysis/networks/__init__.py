"""Networks F(a, y; c_noise): plain ``torch.nn.Module``; they know nothing of processes or samplers."""

from analysis.networks.compact import CompactConfig, CompactUNet, JointCompactUNet
from analysis.networks.joint import JointNCSNpp, Outputs
from analysis.networks.ncsnpp import CONFIGS, NCSNpp, NCSNppConfig

__all__ = [
    "CONFIGS",
    "CompactConfig",
    "CompactUNet",
    "JointCompactUNet",
    "JointNCSNpp",
    "NCSNpp",
    "NCSNppConfig",
    "Outputs",
]

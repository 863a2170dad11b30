"""Networks F(a, y; c_noise): plain ``torch.nn.Module``; they know nothing of processes or samplers."""

from analysis.networks.compact import CompactConfig, CompactUNet
from analysis.networks.joint import JointNCSNpp, Outputs
from analysis.networks.ncsnpp import CONFIGS, NCSNpp, NCSNppConfig

__all__ = ["CONFIGS", "CompactConfig", "CompactUNet", "JointNCSNpp", "NCSNpp", "NCSNppConfig", "Outputs"]

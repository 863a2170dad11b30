"""Networks F(a, y; c_noise): plain ``torch.nn.Module``; they know nothing of processes or samplers."""

from analysis.networks.compact import CompactConfig, CompactUNet

__all__ = ["CompactConfig", "CompactUNet"]

"""What measuring costs on a GPU, batch 128: LocalMixer L/8/64, and a CNN in place of ResNet-18

The lab has no ResNet-18; the CNN is nearest to it.
"""

import torch

from backend.training.networks.cnn import CNN
from backend.training.networks.contract import Network
from backend.training.networks.local_mixer import LocalMixer
from benchmarks.measurement import compared, on_batch
from benchmarks.table import Row

BATCH = 128
IMAGE = (3, 32, 32)
NETWORKS: dict[str, Network] = {
    "LocalMixer L/8/64": LocalMixer(size="L/8/64"),
    "CNN of 8 layers, 64 to 1024 channels": CNN(channels=64, depth=8, normalisation="group"),
}


def rows() -> list[Row]:
    device = "cuda" if torch.cuda.is_available() else None
    return [row for name in NETWORKS if device for row in measured(name, device)]


def measured(name: str, device: str) -> list[Row]:
    """One network of the table."""
    return compared(name, *on_batch(NETWORKS[name], IMAGE, BATCH, device))

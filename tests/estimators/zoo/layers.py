"""torch's own layers: activations, normalisations, pools, convolutions, paddings."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from tests.estimators.zoo.foreign import Apply, Foreign, in_images, in_rows, in_sequences

ACTIVATIONS = [
    nn.ReLU(inplace=True), nn.SELU(), nn.GELU(approximate="tanh"), nn.SiLU(inplace=True),
    nn.Softplus(), nn.Softshrink(0.1), nn.Hardswish(), nn.LogSoftmax(1), nn.RReLU().eval(),
    nn.Dropout(0.5).eval(), nn.PReLU(), nn.Dropout(0.0),
]  # fmt: skip

ROWS = {
    "glu": lambda: in_rows(nn.GLU(), out=2),
    "batch_norm_training": lambda: in_rows(nn.BatchNorm1d(4)),
    "batch_norm_evaluation": lambda: in_rows(nn.BatchNorm1d(4).eval()),
    "batch_norm_no_statistics": lambda: in_rows(nn.BatchNorm1d(4, track_running_stats=False)),
    "layer_norm": lambda: in_rows(nn.LayerNorm(4)),
    "rms_norm": lambda: in_rows(nn.RMSNorm(4)),
    "group_norm_rows": lambda: in_rows(nn.GroupNorm(2, 4)),
}

IMAGES = {
    "group_norm": lambda: in_images(nn.GroupNorm(1, 2), 32),
    "instance_norm": lambda: in_images(nn.InstanceNorm2d(2, affine=True), 32),
    "batch_norm_2d": lambda: in_images(nn.BatchNorm2d(2), 32),
    "max_pool": lambda: in_images(nn.MaxPool2d(2), 8),
    "avg_pool": lambda: in_images(nn.AvgPool2d(2, divisor_override=3), 8),
    "lp_pool": lambda: in_images(nn.LPPool2d(2.0, 2), 8),
    "adaptive_avg_pool": lambda: in_images(nn.AdaptiveAvgPool2d(1), 2),
    "fractional_max_pool": lambda: in_images(
        nn.FractionalMaxPool2d(2, output_size=2, _random_samples=_fractions()),
        8,
    ),
    "reflection_pad": lambda: in_images(nn.ReflectionPad2d(1), 72),
    "circular_pad": lambda: in_images(nn.CircularPad2d(1), 72),
    "conv_reflect": lambda: in_images(nn.Conv2d(2, 1, 3, padding=1, padding_mode="reflect"), 16),
    "conv_same": lambda: in_images(nn.Conv2d(2, 2, 2, padding="same", groups=2), 32),
    "conv_transposed": lambda: in_images(nn.ConvTranspose2d(2, 1, 2), 25),
    "pixel_shuffle": lambda: in_images(nn.PixelShuffle(2), 64, channels=4, size=5),
    "upsample_bilinear": lambda: in_images(
        nn.Upsample(size=3, mode="bilinear", align_corners=True), 18
    ),
    "fold": lambda: in_images(nn.Sequential(nn.Unfold(2, stride=2), nn.Fold(4, 2, stride=2)), 32),
}

SEQUENCES = {
    "conv_1d": lambda: in_sequences(nn.Conv1d(3, 2, 2, dilation=2), 4),
    "conv_transposed_1d": lambda: in_sequences(nn.ConvTranspose1d(3, 2, 2), 10),
    "conv_3d": lambda: in_sequences(
        nn.Sequential(nn.Unflatten(2, (1, 2, 2)), nn.Conv3d(3, 2, (1, 2, 1))), 4
    ),
    "bilinear": lambda: in_sequences(_Twice(nn.Bilinear(4, 4, 2)), 6),
    "cosine_similarity": lambda: in_sequences(_Twice(nn.CosineSimilarity(2)), 3),
    "batch_norm_sequences": lambda: in_sequences(nn.BatchNorm1d(3), 12),
    "instance_norm_1d": lambda: in_sequences(nn.InstanceNorm1d(3), 12),
    "attention": lambda: in_sequences(_Attention(), 12),
    "scaled_dot_product": lambda: in_sequences(
        Apply(lambda z: F.scaled_dot_product_attention(z, z, z.tanh())), 12
    ),
    "encoder_layer_training": lambda: in_sequences(_encoder(), 12),
    "encoder_layer_evaluation": lambda: in_sequences(_encoder().eval(), 12),
    "lstm": lambda: in_sequences(_First(nn.LSTM(4, 2, batch_first=True)), 6),
    "gru": lambda: in_sequences(_First(nn.GRU(4, 2, batch_first=True)), 6),
}


def _fractions() -> torch.Tensor:
    return torch.full((4, 2, 2), 0.4, dtype=torch.float64)


class _Twice(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, z):
        return self.module(z, z.flip(1).sin())


class _First(nn.Module):
    """The first of the tensors that a module returns."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, z):
        return self.module(z)[0]


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, z):
        return self.attend(z, z, z, need_weights=False)[0]


def _encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(4, 2, 2, dropout=0.0, batch_first=True)


def _activation(module: nn.Module) -> Foreign:
    return Foreign(repr(module), lambda: in_rows(copy.deepcopy(module)))


LAYERS = [
    *map(_activation, ACTIVATIONS),
    *(Foreign(name, make) for name, make in {**ROWS, **IMAGES, **SEQUENCES}.items()),
]

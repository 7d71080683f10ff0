"""How feedback lies to what it stands for: the angle between them, and their lengths."""

from collections.abc import Mapping

import torch
from torch import Tensor

Alignment = dict[str, dict[str, Tensor]]


def alignment(feedback: Mapping[str, Tensor], meant: Mapping[str, Tensor]) -> Alignment:
    """Angle in degrees and ratio of norms ‖B‖/‖M‖, for each name of `feedback`.

    A feedback of zero has no direction; it is said to stand at 90°.
    """
    angles, ratios = {}, {}
    for name, b in feedback.items():
        m = meant[name].detach()
        length, wanted = torch.linalg.vector_norm(b), torch.linalg.vector_norm(m)
        tiny = torch.finfo(b.dtype).tiny
        cosine = torch.dot(b.reshape(-1), m.reshape(-1)) / (length * wanted).clamp_min(tiny)
        angles[name] = cosine.clamp(-1, 1).acos().rad2deg()
        ratios[name] = length / wanted
    return {"feedback_angle": angles, "feedback_norm_ratio": ratios}

"""The angle between feedback and what it replaces, and the ratio of their norms."""

from collections.abc import Mapping

import torch
from torch import Tensor

Alignment = dict[str, dict[str, Tensor]]


def alignment(feedback: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> Alignment:
    """Angle in degrees and ratio of norms ‖B‖/‖M‖, for each name of `feedback`.

    Args:
        feedback: B by name.
        reference: M by name, of the same shapes: the weights or Jacobians that B replaces.

    Returns:
        {"feedback_angle": {name: ()}, "feedback_norm_ratio": {name: ()}}. The angle of a feedback
        of zero, which has no direction, is 90°.
    """
    angles, ratios = {}, {}
    for name, b in feedback.items():
        m = reference[name].detach()
        norm, reference_norm = torch.linalg.vector_norm(b), torch.linalg.vector_norm(m)
        tiny = torch.finfo(b.dtype).tiny
        cosine = torch.dot(b.reshape(-1), m.reshape(-1)) / (norm * reference_norm).clamp_min(tiny)
        angles[name] = cosine.clamp(-1, 1).acos().rad2deg()
        ratios[name] = norm / reference_norm
    return {"feedback_angle": angles, "feedback_norm_ratio": ratios}

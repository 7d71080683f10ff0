import os

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def _threads():
    """One thread, or as many as the environment says: no test may depend on the number."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    yield
    torch.set_num_threads(before)

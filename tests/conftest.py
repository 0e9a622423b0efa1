import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """Tests run side by side; a pool of threads in each would fight over the cores."""
    torch.set_num_threads(1)

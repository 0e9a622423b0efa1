import numpy as np
import pytest


@pytest.fixture(params=range(20))
def random(request):
    """Twenty sources of draws; a test that draws ten cases from each has seen two hundred."""
    return np.random.default_rng(request.param)

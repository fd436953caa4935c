"""What past outcomes teach: from labelled signals to a calibrated, explained health score."""

import os

# Threads that spin while they wait make LightGBM a hundred times slower when other work wants the
# same cores, as on a shared batch machine. OpenMP reads this once, when LightGBM is first loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

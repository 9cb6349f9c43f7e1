"""The jobs of a sweep on iris in two processes of this machine, by joblib alone."""

import argparse
from pathlib import Path

from bare_iris import job
from joblib import Parallel, delayed

parser = argparse.ArgumentParser()
parser.add_argument("data", type=Path)
parser.add_argument("outputs", type=Path)
parser.add_argument("strengths", type=float, nargs="+")
parser.add_argument("--replicates", type=int, default=500)
arguments = parser.parse_args()

Parallel(n_jobs=2)(
    delayed(job)(arguments.data, arguments.outputs / str(strength), strength, arguments.replicates)
    for strength in arguments.strengths
)

"""Will a flight be late? Several strengths of the penalty in two processes, by joblib alone."""

import argparse
from pathlib import Path

from bare_flights import job
from joblib import Parallel, delayed

parser = argparse.ArgumentParser()
parser.add_argument("data", type=Path)
parser.add_argument("outputs", type=Path)
parser.add_argument("strengths", type=float, nargs="+")
parser.add_argument("--max-iter", type=int, default=300)
parser.add_argument("--replicates", type=int, default=500)
parser.add_argument("--importance-rows", type=int, default=2000)
arguments = vars(parser.parse_args())
data, outputs = arguments.pop("data"), arguments.pop("outputs")

Parallel(n_jobs=2)(
    delayed(job)(data, outputs / str(strength), strength, **arguments)
    for strength in arguments.pop("strengths")
)

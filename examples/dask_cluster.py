"""Minimize on a Dask cluster: here two processes on this machine, elsewhere many machines.

python examples/dask_cluster.py
"""

import time

from dask.distributed import Client, LocalCluster

from optimizers import LBFGSB
from optimizers.problems import h2

energy = h2()  # six angles; an evaluation needs nothing but the point


def slow_energy(x):
    time.sleep(0.01)  # stands for an hour of computation
    return energy(x)


def main():
    # On a cluster of many machines: Client("tcp://scheduler:8786"), SLURMCluster(...), ...
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        result = LBFGSB(workers=client).minimize(slow_energy, energy.x0)
        print(f"{result.fun:.6f} after {result.nfev} evaluations: {result.stop.sentence}")


if __name__ == "__main__":  # Dask's processes import this file
    main()

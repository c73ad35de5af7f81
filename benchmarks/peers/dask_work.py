"""The same work in dask.distributed: prints one JSON object."""

from __future__ import annotations

import json
import statistics
import time

from distributed import Client, LocalCluster


def echo(n: int) -> int:
    return n


def main() -> None:
    begun = time.perf_counter()
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    ready = time.perf_counter() - begun
    client.submit(echo, -1, pure=False).result()
    times = []
    for n in range(300):
        begun = time.perf_counter()
        client.submit(echo, n, pure=False).result()
        times.append((time.perf_counter() - begun) * 1000)
    begun = time.perf_counter()
    client.gather([client.submit(echo, n, pure=False) for n in range(1000)])
    fan_out = 1000 / (time.perf_counter() - begun)
    found = {
        "ready_s": ready,
        "sequential_ms": statistics.median(times),
        "outside_ms": statistics.median(times),
        "fan_out_per_s": fan_out,
    }
    print(json.dumps(found))
    client.close()
    cluster.close()


if __name__ == "__main__":
    main()

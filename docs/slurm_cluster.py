"""A dask cluster of Slurm jobs for `spikemark run --scheduler`, see docs/clusters.md. Runs until it is interrupted.

pip install dask-jobqueue 'spikemark[cluster]'
python slurm_cluster.py --jobs 20 --walltime 04:00:00
"""

import argparse
import sys
import time
from contextlib import suppress
from pathlib import Path

from dask_jobqueue import SLURMCluster
from distributed import Security

FILES = ("ca.pem", "cert.pem", "key.pem")

parser = argparse.ArgumentParser()
parser.add_argument("--jobs", type=int, default=2, help="one worker each")
parser.add_argument("--memory", default="8GB")
parser.add_argument("--walltime", default="04:00:00")
parser.add_argument("--queue", help="Slurm's partition")
parser.add_argument("--data", help="SPIKEMARK_DATA on the nodes")
parser.add_argument("--interface", help="network that login and compute nodes share, such as ib0")
parser.add_argument("--tls", type=Path, default=Path("~/.spikemark-tls"), help="shared folder for certificates")
parser.add_argument("--dry-run", action="store_true", help="print the job's script and stop")
options = parser.parse_args()

folder = options.tls.expanduser()
folder.mkdir(mode=0o700, exist_ok=True)
authority, certificate, key = (str(folder / name) for name in FILES)
made = Security.temporary()
for path, content in ((authority, made.tls_ca_file), (certificate, made.tls_client_cert), (key, made.tls_client_key)):
    Path(path).touch(mode=0o600)
    Path(path).write_text(content)
sides = {f"tls_{side}_{part}": file for side in ("client", "scheduler", "worker")
         for part, file in (("cert", certificate), ("key", key))}  # fmt: skip

cluster = SLURMCluster(
    cores=1,  # a job trains on one thread
    processes=1,
    memory=options.memory,
    walltime=options.walltime,
    queue=options.queue,
    interface=options.interface,
    python=sys.executable,
    job_script_prologue=[f"export SPIKEMARK_DATA={options.data}"] if options.data else [],
    worker_extra_args=["--no-dashboard"],
    scheduler_options={"dashboard": False, "dashboard_address": ":0"},
    protocol="tls://",
    security=Security(tls_ca_file=authority, require_encryption=True, **sides),
)
with cluster, suppress(KeyboardInterrupt):
    if options.dry_run:
        print(cluster.job_script())
        sys.exit()
    cluster.scale(jobs=options.jobs)
    print(
        f"spikemark run SUITE --scheduler {cluster.scheduler_address} "
        f"--tls-ca {authority} --tls-cert {certificate} --tls-key {key}",
        flush=True,
    )
    while True:
        time.sleep(60)

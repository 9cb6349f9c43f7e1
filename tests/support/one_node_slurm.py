"""A Slurm cluster of one node, this machine, from Debian's packages; loopback only."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class CannotStartError(Exception):
    """Why there is no Slurm here."""


class OneNodeSlurm:
    """The daemons, in a folder of their own.

    Attributes:
        environment: What commands that talk to the cluster need.
    """

    def __init__(self, folder: Path) -> None:
        missing = [name for name in NEEDED if find(name) is None]
        if missing:
            raise CannotStartError(f"{', '.join(missing)} not installed")
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.chmod(0o755)
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        text = CONFIGURATION.format(
            folder=folder, host=socket.gethostname().partition(".")[0], user=getpass.getuser(),
            controller=free_port(), node=free_port(),
        )  # fmt: skip
        (folder / "slurm.conf").write_text(text)
        try:
            files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid",
                     "log-file": "munged.log", "seed-file": "seed"}  # fmt: skip
            places = [f"--{option}={folder / name}" for option, name in files.items()]
            self._start("munged", "--foreground", "--force", *places)
            self._wait(lambda: (folder / "munge.socket").exists())
            self._start("slurmctld", "-D")
            self._start("slurmd", "-D")
            self._wait(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"))
        except CannotStartError:
            self.stop()
            raise

    def ask(self, *words: str) -> str:
        """What one of Slurm's commands answers."""
        done = subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True
        )
        return done.stdout + done.stderr

    def stop(self) -> None:
        """Ends the daemons, the last one first."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, name: str, *words: str) -> None:
        program = find(name)
        assert program
        with (self.folder / f"{name}.said").open("wb") as said:
            self._processes.append(
                subprocess.Popen(
                    [program, *words],
                    env={**os.environ, **self.environment},
                    stdout=said,
                    stderr=said,
                )
            )

    def _wait(self, holds) -> None:
        limit = time.monotonic() + 30
        while not holds():
            dead = [each.args[0] for each in self._processes if each.poll() is not None]
            if dead or time.monotonic() > limit:
                said = [path.read_text()[-300:] for path in self.folder.glob("*.said")]
                raise CannotStartError(f"{dead or 'the node'} does not come up: {said}")
            time.sleep(0.1)


def find(name: str) -> str | None:
    """A program, also where only administrators look for it."""
    return shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

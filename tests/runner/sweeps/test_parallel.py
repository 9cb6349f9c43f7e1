"""A job of a sweep in another process."""

import gc
import weakref
from pathlib import Path

from ml_experiment_runner.sweeps.execution import resume_collector
from ml_experiment_runner.sweeps.job_process import Job, folder_of


def test_memory_of_a_job_is_free_when_the_next_begins() -> None:
    class Model:
        itself: object

    model = Model()
    model.itself = model
    left = weakref.ref(model)
    del model
    resume_collector()
    gc.collect()
    assert left() is None


def test_job_begun_again_has_a_folder_of_its_own(tmp_path: Path) -> None:
    job = Job(3, "", [], str(tmp_path / "3-aaaa1111"), "", [])
    assert folder_of(job) == tmp_path / "3-aaaa1111"
    folder_of(job).mkdir()
    (tmp_path / "3-aaaa1111" / "journal.jsonl").touch()
    again = folder_of(job)
    assert again.parent == tmp_path
    assert again.name.startswith("3-")
    assert not again.exists()

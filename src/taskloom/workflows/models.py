"""Where a trained model lies, and how it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from taskloom.errors import ModelError

if TYPE_CHECKING:
    from taskloom.inference.predictor import Model as Predictor


def open_model(
    path: Path, *, device: str = "auto", precision: str = "auto", backend: str = "auto", adapter: Path | None = None
) -> Predictor:
    """Open a model for prediction: a run folder, its model folder, an export, or a classifier in Hugging Face form."""
    from taskloom.inference.predictor import load_model

    if not path.is_dir():
        raise ModelError(f"There is no folder {path}. Give a run folder or a model folder.")
    inner = path / "model"
    if (path / "plan.json").is_file() and not (inner / "heads.json").is_file():
        model_folder(path)  # says that the run has not finished
    return load_model(path, device=device, precision=precision, backend=backend, adapter=adapter)


def model_folder(path: Path) -> Path:
    """Return the model folder of a run or the folder itself; raises ModelError when there is neither."""
    for folder in (path / "model", path):
        if (folder / "heads.json").is_file():
            return folder
    state = "the run has not finished yet" if (path / "plan.json").is_file() else "there is no heads.json in it"
    raise ModelError(f"{path} holds no trained model: {state}. Give a run folder or its model folder.")

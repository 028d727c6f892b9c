"""The walkthrough runs from top to bottom, writes only where it stands, and says what its numbers are about."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "walkthrough.ipynb"
SECONDS_A_CELL = 300  # a cell that hangs; each takes seconds


def read() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs if output.output_type == "stream")


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The executed notebook and the folder it ran in. Home and caches are inside a folder of the test, too."""
    folder, home = tmp_path_factory.mktemp("walkthrough"), tmp_path_factory.mktemp("home")
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "IPYTHONDIR": str(home / "ipython"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    notebook = read()
    client = NotebookClient(
        notebook, timeout=SECONDS_A_CELL, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment)
    return notebook, folder


def test_it_is_committed_without_outputs():
    for cell in read().cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


def test_it_leaves_a_run_folder_where_it_ran(executed):
    _, folder = executed
    assert [path.name for path in folder.iterdir()] == ["walkthrough_out"]
    found = {path.relative_to(folder / "walkthrough_out").as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "model/model.safetensors",
        "model/model.json",
        "export/model.onnx",
        "export/model_int8.onnx",
        "export/model.tflite",
        "export/model_quantized_int8_io.tflite",
        "export/parity.json",
        "evaluation.json",
        "benchmark.json",
        "report.html",
    } <= found


def test_every_accuracy_is_called_synthetic(executed):
    notebook, _ = executed
    texts = [printed(cell) for cell in notebook.cells if cell.cell_type == "code"]
    with_figures = [text for text in texts if "%" in text or "loss" in text]
    assert len(with_figures) >= 4
    assert all("synthetic" in text for text in with_figures)


def test_the_pictures_are_drawn(executed):
    notebook, _ = executed
    pictures = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
        if output.output_type == "display_data" and "image/png" in output.data
    ]  # fmt: skip
    assert len(pictures) == 2


def test_both_modes_were_tried_and_every_epoch_budget_is_alike(executed):
    notebook, _ = executed
    text = "".join(printed(cell) for cell in notebook.cells if cell.cell_type == "code")
    assert "gradient: validation loss" in text
    assert "perforated: validation loss" in text

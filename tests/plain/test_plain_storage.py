import io
import json
import zipfile

import numpy as np
import pytest
from sample_graphs import SAMPLES, features, random_graph, temporal

from kws_dendrite.errors import GraphError, OutputError
from kws_dendrite.plain import Graph, cost, interpret, load_graph, save_graph


@pytest.mark.parametrize("graph", [*(make() for make in SAMPLES.values()), *map(random_graph, range(8))])
def test_round_trip(graph, tmp_path):
    save_graph(graph, tmp_path / "g.npz")
    again = load_graph(tmp_path / "g.npz")
    assert again.labels == graph.labels and [node.name for node in again.nodes] == [node.name for node in graph.nodes]
    assert cost(again) == cost(graph)
    x = features(graph, 5)
    np.testing.assert_array_equal(interpret(again, x), interpret(graph, x))


def test_metadata_and_bytes(tmp_path):
    graph = temporal()
    graph = Graph(graph.nodes, graph.weights, graph.labels, {"seed": "3"})
    save_graph(graph, tmp_path / "a.npz")
    save_graph(graph, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert load_graph(tmp_path / "a.npz").metadata == {"seed": "3"}


@pytest.mark.parametrize("keep", [0, 10, 100, 0.5, 0.9, 0.999])
def test_truncated(keep, tmp_path):
    path = tmp_path / "g.npz"
    save_graph(temporal(), path)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(GraphError, match="truncated") as error:
        load_graph(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("position", range(40, 10_000, 977))
def test_a_flipped_byte_never_crashes(position, tmp_path):
    path = tmp_path / "g.npz"
    save_graph(temporal(), path)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 0xFF
    path.write_bytes(content)
    try:
        load_graph(path)
    except GraphError as error:
        assert "\n" not in str(error)


def rewrite(path, change):
    """Save the sample graph with its JSON changed by `change`."""
    save_graph(temporal(), path)
    with np.load(path) as file:
        arrays = dict(file)
    structure = json.loads(arrays["structure"].tobytes())
    change(structure, arrays)
    arrays["structure"] = np.frombuffer(json.dumps(structure).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s, a: s.update(format="other"), "its format says 'other'"),
        (lambda s, a: s.update(version=9), "version 9"),
        (lambda s, a: s["nodes"][3].update(type="Exec"), "unknown type 'Exec'"),
        (lambda s, a: s["nodes"][1].update(shape=[20, 8, 2]), "cannot reshape"),
        (lambda s, a: s["nodes"][1].update(shape=[-20, -8, 1]), "positive whole numbers"),
        (lambda s, a: s["nodes"][1].update(shape="abc"), "positive whole numbers"),
        (lambda s, a: s["nodes"][2].update(kernel=[20]), "kernel has 1 numbers"),
        (lambda s, a: s["nodes"][2].update(surplus=1), "truncated"),
        (lambda s, a: s["nodes"].pop(2), "not an earlier node"),
        (lambda s, a: s["weights"].update(stem=[1, 1, 8, 11]), "its structure says"),
        (lambda s, a: a.pop("weight/stem"), "truncated"),
        (lambda s, a: a.update({"weight/stem": np.zeros((1, 1, 8, 12))}), "float64, expected float32"),
        (lambda s, a: a["weight/stem"].fill(np.nan), "not finite"),
        (lambda s, a: s.update(labels=["one"]), "names 1 labels"),
    ],
)
def test_structures_that_lie(change, match, tmp_path):
    rewrite(tmp_path / "g.npz", change)
    with pytest.raises(GraphError, match=match):
        load_graph(tmp_path / "g.npz")


def test_foreign_files(tmp_path):
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3, np.float32))
    with pytest.raises(GraphError, match="not a plain graph"):
        load_graph(tmp_path / "foreign.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(GraphError, match="not a plain graph"):
        load_graph(tmp_path / "text.npz")
    with pytest.raises(GraphError, match="is not there"):
        load_graph(tmp_path / "none.npz")


def test_a_pickled_array_is_refused(tmp_path):
    np.savez(tmp_path / "g.npz", structure=np.array([{"a": 1}], dtype=object))
    with pytest.raises(GraphError):
        load_graph(tmp_path / "g.npz")


def test_a_file_that_claims_gigabytes_is_refused_unread(tmp_path):
    path = tmp_path / "g.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (300 * 2**20,)})
        with archive.open("structure.npy", "w") as file:
            file.write(header.getvalue())
            for _ in range(300):
                file.write(bytes(2**20))
    with pytest.raises(GraphError, match="claims"):
        load_graph(path)


def test_what_was_there_stays_when_writing_fails(tmp_path):
    path = tmp_path / "folder" / "g.npz"
    (tmp_path / "folder").write_text("a file where a folder should be")
    with pytest.raises(OutputError):
        save_graph(temporal(), path)
    assert (tmp_path / "folder").read_text().startswith("a file")

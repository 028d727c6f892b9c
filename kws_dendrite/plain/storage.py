"""A plain graph on disk: one .npz with its structure as JSON bytes and its arrays, read without pickle."""

import json
import math
import zipfile
import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from kws_dendrite.errors import GraphError
from kws_dendrite.output import replacing
from kws_dendrite.plain import graph as nodes_module
from kws_dendrite.plain.graph import Graph, Node
from kws_dendrite.plain.shapes import infer_shapes

FORMAT = "kws_dendrite.plain"
VERSION = 1
STRUCTURE = "structure"  # the entry that holds the JSON, as uint8
MAX_BYTES = 256 * 2**20  # a keyword spotter is kilobytes; a larger file is not one, or means harm

NODE_TYPES: dict[str, type[Node]] = {
    name: getattr(nodes_module, name)
    for name in (
        "Input", "Reshape", "Conv2D", "Dense", "Activation", "Scale", "Add", "Sub", "Mul", "Concat", "MaxPool",
        "AvgPool", "Softmax",
    )
}  # fmt: skip
ARRAY_FIELDS = ("scale", "bias")


def save_graph(graph: Graph, path: Path | str) -> None:
    """Write the graph to an .npz; the same graph gives the same bytes.

    Raises:
        OutputError: the file cannot be written; what was there is untouched.
        GraphError: the graph is not well formed.
    """
    infer_shapes(graph)
    arrays: dict[str, np.ndarray] = {}
    for name in sorted(graph.weights):
        arrays[f"weight/{name}"] = np.ascontiguousarray(graph.weights[name], dtype=np.float32)
    rows = []
    for node in graph.nodes:
        row: dict[str, Any] = {"type": type(node).__name__}
        for field in fields(node):
            value = getattr(node, field.name)
            if field.name in ARRAY_FIELDS:
                row[field.name] = value is not None
                if value is not None:
                    arrays[f"node/{node.name}/{field.name}"] = np.ascontiguousarray(value, dtype=np.float32)
            else:
                row[field.name] = list(value) if isinstance(value, tuple) else value
        rows.append(row)
    structure = {
        "format": FORMAT,
        "version": VERSION,
        "nodes": rows,
        "weights": {name: list(graph.weights[name].shape) for name in sorted(graph.weights)},
        "labels": list(graph.labels),
        "metadata": dict(graph.metadata),
    }
    text = np.frombuffer(json.dumps(structure, default=int).encode(), dtype=np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{STRUCTURE: text}, **arrays)


def load_graph(path: Path | str) -> Graph:
    """Read a graph that `save_graph` wrote.

    Raises:
        GraphError: missing, truncated, foreign, of another version, or with arrays that do not fit its structure.
    """
    path = Path(path)
    if not path.is_file():
        raise GraphError(f"{path} is not there; name a graph .npz that the export wrote")
    try:
        arrays = _read_arrays(path)
        structure = json.loads(arrays.pop(STRUCTURE).tobytes().decode())
        if structure["format"] != FORMAT:
            raise GraphError(f"{path} is not a plain graph: its format says {structure['format']!r}")
        if structure["version"] != VERSION:
            raise GraphError(f"{path} is a plain graph of version {structure['version']}; this package reads {VERSION}")
        weights = {}
        for name, shape in structure["weights"].items():
            weights[name] = arrays[f"weight/{name}"]
            if weights[name].shape != tuple(shape):
                raise GraphError(f"{path}: weight {name!r} has shape {weights[name].shape}, its structure says {shape}")
        graph = Graph(
            nodes=tuple(_node(row, arrays) for row in structure["nodes"]),
            weights=weights,
            labels=tuple(structure["labels"]),
            metadata=dict(structure["metadata"]),
        )
        infer_shapes(graph)
    except GraphError as error:
        raise error if str(path) in str(error) else GraphError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, NotImplementedError) as error:
        raise GraphError(f"{path} is not a plain graph, or is truncated ({_brief(error)}); export it again") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise GraphError(f"{path} is not a plain graph, or is truncated ({_brief(error)}); export it again") from error
    return graph


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
    if claimed > MAX_BYTES:
        raise GraphError(f"{path} claims {claimed} bytes of arrays; a plain graph has at most {MAX_BYTES}")
    arrays = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            array = file[name]
            if name == STRUCTURE:
                wanted: type = np.uint8
            else:
                wanted = np.float32
            if array.dtype != wanted:
                raise GraphError(f"{path}: array {name!r} is {array.dtype}, expected {np.dtype(wanted)}")
            if wanted is np.float32 and not np.isfinite(array).all():
                raise GraphError(f"{path}: array {name!r} holds values that are not finite; train or fold again")
            arrays[name] = array
    if STRUCTURE not in arrays:
        raise GraphError(f"{path} is an .npz but not a plain graph: it has no {STRUCTURE!r} entry")
    return arrays


def _node(row: dict[str, Any], arrays: dict[str, np.ndarray]) -> Node:
    row = dict(row)
    kind = row.pop("type")
    if kind not in NODE_TYPES:
        raise GraphError(f"it has a node of the unknown type {kind!r}")
    values: dict[str, Any] = {}
    for key, value in row.items():
        if key in ARRAY_FIELDS:
            values[key] = arrays[f"node/{row['name']}/{key}"] if value else None
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
    node = NODE_TYPES[kind](**values)
    _check_numbers(node)
    return node


def _check_numbers(node: Node) -> None:
    for name in ("size", "shape", "kernel", "stride", "dilation"):
        value = getattr(node, name, None)
        if value is None:
            continue
        sizes = value if isinstance(value, tuple) else (value,)
        if name in ("kernel", "stride", "dilation") and len(sizes) != 2:
            raise GraphError(f"node {node.name!r}: {name} has {len(sizes)} numbers, expected 2")
        if not all(type(size) is int and size > 0 for size in sizes) or math.prod(sizes) > MAX_BYTES:
            raise GraphError(f"node {node.name!r}: {name} {value} is not made of sensible positive whole numbers")


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:120]

"""Frames as files that other tools read: CSV, Parquet, JSON Lines.

The frames are ``harness.show.frames``'. Samples are written piece by piece: they need not fit into
memory. In CSV what was not measured is an empty cell, in JSON null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from harness.judge.metrics import METRICS
from harness.show import frames
from harness.store.runs import Run
from harness.store.samples import sample_schema

FRAMES: Mapping[str, Callable[..., pd.DataFrame]] = {
    "points": frames.points,
    "trials": frames.trials,
    "estimates": frames.estimates,
    "verdicts": frames.verdicts,
    "errors": frames.errors,
    "gaps": frames.gaps,
    "growth": frames.growth,
}
SAMPLES = "samples"
NAMES = (*FRAMES, SAMPLES)
FORMATS = ("csv", "parquet", "jsonl")


def write(runs: Sequence[Run], name: str, form: str, out: BinaryIO) -> int:
    """Write one frame of some runs; returns the number of its rows.

    ``name`` is one of ``NAMES``, ``form`` one of ``FORMATS``. ResultsError where samples cannot be
    read.
    """
    if name == SAMPLES:
        return _write_samples(runs, form, out)
    frame = FRAMES[name](*runs)
    match form:
        case "csv":
            out.write(frame.to_csv(index=False, lineterminator="\n").encode())
        case "jsonl":
            for row in frame.to_dict("records"):
                known = {str(key): _plain(value) for key, value in row.items()}
                out.write(json.dumps(known, ensure_ascii=False).encode() + b"\n")
        case _:
            pq.write_table(_with_units(frame), out, compression="zstd")
    return len(frame)


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_units(frame: pd.DataFrame) -> pa.Table:
    """The frame with its metrics' units in the columns' metadata; NaN is null."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [
        field.with_metadata({"unit": METRICS[field.name].unit}) if field.name in METRICS else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _write_samples(runs: Sequence[Run], form: str, out: BinaryIO) -> int:
    schema = pa.schema([pa.field("run", pa.string()), *sample_schema()])
    rows = 0
    writer = {"csv": pacsv.CSVWriter, "parquet": pq.ParquetWriter}.get(form)
    opened = None if writer is None else writer(out, schema)
    try:
        for run in runs:
            for batch in run.sample_batches():
                rows += batch.num_rows
                named = pa.RecordBatch.from_arrays(
                    [pa.array([run.info.name] * batch.num_rows), *batch.columns], schema=schema
                )
                if opened is None:
                    out.write(_json_lines(named))
                else:
                    opened.write_batch(named)
    finally:
        if opened is not None:
            opened.close()
    return rows


def _json_lines(batch: pa.RecordBatch) -> bytes:
    """As JSON Lines. Whole numbers stay whole beside null."""
    types = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}
    frame = batch.to_pandas(types_mapper=types.get)
    return str(frame.to_json(orient="records", lines=True)).encode()

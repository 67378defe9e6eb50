"""darknet itself, through the shared library of a build with LIBSO=1 AVX=1 OPENMP=1 (AlexeyAB's).

Its command line reads and draws images between two runs.  So the calls of the library are timed, in a loop like those
of the other peers: load_network_custom, which folds batch norm into the weights, and network_predict_ptr.
"""
import ctypes
import os
import tempfile
from pathlib import Path

import numpy as np

from bench.networks import Case, build, images, write_cfg
from bench.peer import NotInstalled, Prepared, Unsupported
from runner import weights as codec


def prepare(case: Case, task: str, count: int, threads: int, settings: tuple[str, ...] = ()) -> Prepared:
    if task == "train":
        raise Unsupported("its library has no call for a training step")
    path = os.environ.get("BENCH_DARKNET", "")
    if not path:
        raise NotInstalled("darknet: give the libdarknet.so of a build with LIBSO=1 AVX=1 OPENMP=1 as --darknet PATH")
    try:
        library = ctypes.CDLL(path)
        load, predict = library.load_network_custom, library.network_predict_ptr
    except (OSError, AttributeError) as error:
        raise NotInstalled(f"{path} is not the libdarknet.so of AlexeyAB's darknet: {error}") from None
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    predict.restype, predict.argtypes = ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p, ctypes.c_void_p]
    # its files have the gates of recurrent layers in a different order
    ours = build(case, count, settings, compat="alexeyab")
    x = np.ascontiguousarray(images(ours, count))
    time_steps = ours.env.time_steps
    with tempfile.TemporaryDirectory() as folder:
        cfg, weights = Path(folder, "net.cfg"), Path(folder, "net.weights")
        write_cfg(case, cfg, count, settings)
        codec.save(ours, weights)
        net = load(str(cfg).encode(), str(weights).encode(), 0, count)
    # a network loaded this way takes one time step at a time
    parts, values = np.split(x, time_steps), ours.layers[ours.last].out_shape

    def run() -> list[np.ndarray]:
        return [np.ctypeslib.as_array(predict(net, part.ctypes.data), (count, *values)) for part in parts]

    def outputs() -> list[np.ndarray]:
        library.reset_rnn(ctypes.c_void_p(net))
        return [np.concatenate([predict_copy(part) for part in parts])]

    def predict_copy(part: np.ndarray) -> np.ndarray:
        return np.ctypeslib.as_array(predict(net, part.ctypes.data), (count, *values)).copy()
    return Prepared(run, outputs, "last head")

"""darknet itself, through the shared library of a build with LIBSO=1 AVX=1 OPENMP=1 (AlexeyAB's).

Its program reads and draws pictures between two runs; the library's own calls, load_network_custom (which folds batch
norm into the weights) and network_predict_ptr, are timed in a loop like everybody's.
"""
import ctypes
import os
import tempfile
from pathlib import Path

import numpy as np

from bench.networks import Case, build, images, write_cfg
from bench.peer import Missing, Ready, Unable
from runner import weights as codec


def prepare(case: Case, task: str, count: int, threads: int, settings: tuple[str, ...] = ()) -> Ready:
    if task == "train":
        raise Unable("its library has no call for a training step")
    path = os.environ.get("BENCH_DARKNET", "")
    if not path:
        raise Missing("darknet: give the libdarknet.so of a build with LIBSO=1 AVX=1 OPENMP=1 as --darknet PATH")
    try:
        library = ctypes.CDLL(path)
        load, predict = library.load_network_custom, library.network_predict_ptr
    except (OSError, AttributeError) as error:
        raise Missing(f"{path} is no libdarknet.so of AlexeyAB's darknet: {error}") from None
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    predict.restype, predict.argtypes = ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p, ctypes.c_void_p]
    # its files hold the gates of a recurrent layer in another order
    ours = build(case, count, settings, compat="alexeyab")
    x = np.ascontiguousarray(images(ours, count))
    steps = ours.env.time_steps
    with tempfile.TemporaryDirectory() as folder:
        cfg, weights = Path(folder, "net.cfg"), Path(folder, "net.weights")
        write_cfg(case, cfg, count, settings)
        codec.save(ours, weights)
        net = load(str(cfg).encode(), str(weights).encode(), 0, count)
    # a network loaded so takes one step of its sequences at a time
    parts, values = np.split(x, steps), ours.layers[ours.last].out_shape

    def run() -> list[np.ndarray]:
        return [np.ctypeslib.as_array(predict(net, part.ctypes.data), (count, *values)) for part in parts]

    def outputs() -> list[np.ndarray]:
        library.reset_rnn(ctypes.c_void_p(net))
        return [np.concatenate([predict_copy(part) for part in parts])]

    def predict_copy(part: np.ndarray) -> np.ndarray:
        return np.ctypeslib.as_array(predict(net, part.ctypes.data), (count, *values)).copy()
    return Ready(run, outputs, "last head")

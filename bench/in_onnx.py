"""The same network as an ONNX model with our weights, as `export` writes it, run by ONNX Runtime."""
import numpy as np

from bench.networks import Case, build, images
from bench.peer import NotInstalled, Prepared, Unsupported
from runner.errors import MissingExtra, UsageError
from runner.export import OnnxOptions, onnx_model
from runner.export.onnx_model import is_recurrent

try:
    import onnxruntime
except ImportError:
    raise NotInstalled("ONNX Runtime is not installed: pip install -r requirements-bench.txt") from None

OPSET = 18


def prepare(case: Case, task: str, count: int, threads: int, settings: tuple[str, ...] = ()) -> Prepared:
    if task == "train":
        raise Unsupported("does not train")
    net = build(case, count, settings)
    x = images(net, count)
    batch = len(x) // net.env.time_steps if is_recurrent(net) else len(x)
    try:    # ONNX Runtime folds the batch norms itself
        model = onnx_model(net, OnnxOptions(batch=batch, opset=OPSET, keep_batchnorm=True))
    except MissingExtra as error:
        raise NotInstalled(str(error)) from None
    except UsageError as error:
        raise Unsupported(str(error)) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    first, *states = session.get_inputs()
    feeds = {first.name: x} | {state.name: np.zeros(state.shape, np.float32) for state in states}
    heads = [output.name for output in session.get_outputs() if output.name.startswith("output")]
    return Prepared(lambda: session.run(heads, feeds), lambda: session.run(heads, feeds))

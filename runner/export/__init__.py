"""Networks for other programs: ONNX models, and checks that they compute the same.

  graph             collects the nodes and weights of an ONNX graph
  writers           the table from layers to the functions that write them
  dense_layers, image_layers, joining_layers, recurrent_layers, heads    those functions
  activations       every activation as ONNX operators
  onnx_model        a network as an ONNX model
"""
from runner.export.onnx_model import FORMS, OnnxOptions, newest_opset, onnx_model

__all__ = ["FORMS", "OnnxOptions", "newest_opset", "onnx_model"]

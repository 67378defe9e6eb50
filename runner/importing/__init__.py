"""Networks from other programs: an ONNX graph becomes a cfg and its weights; weights by name.

  graph           the nodes of a model in order; constants are computed, activations are found
  activations     every activation that `export` writes, found again in a graph
  drafts          the sections while a graph is read, and the text of the cfg
  node_readers    the table from operators to the functions that read them
  dense_nodes, image_nodes, joining_nodes    those functions
  onnx_network    the whole: a model as a network, compared with ONNX Runtime
  arrays          named arrays into the layers of a network
"""

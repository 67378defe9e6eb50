"""Reading what others wrote: the only place that parses files, so that every reader has the same guards.

  numbers     whole numbers and floats from text, with bounds
  text        bytes and text of a file; the encodings that are read; sizes
  json_text, yaml_text, xml_text      documents with limits on depth and size
  schema      declarations of records, and checking a document against them
  arrays      .npy and .npz, gzip: sizes are checked before anything is allocated
  pickles     the values of a pickle, without loading it
  tables      CSV with declared columns
  onnx_file   ONNX models, with the weights beside them
  image_files Pillow images with a limit on their pixels

Every function returns a value, or raises the RunnerError it is given (`error`), naming file and place.  Work and memory
are proportional to the size of the file; what a file only announces is compared with it, or with the free memory,
before it is allocated.  tests/test_guards.py holds that no other module parses.
"""

"""The input pipeline of both tasks: which images a batch has (sampler), their decoding (decode_cache, cache), and the
threads that prepare batches ahead (loader)."""
from runner.datasets.pipeline.cache import Cache
from runner.datasets.pipeline.decode_cache import DecodeCache
from runner.datasets.pipeline.loader import BatchSource, Loader, PendingBatch
from runner.datasets.pipeline.sampler import Sampler

__all__ = ["BatchSource", "Cache", "DecodeCache", "Loader", "PendingBatch", "Sampler"]

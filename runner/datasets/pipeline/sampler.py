"""Which images and random numbers belong to a batch: a function only of the seed and the number of the batch."""
import numpy as np

SHUFFLE, DRAW, CLASS, MIX = 0, 1, 2, 3      # separate streams of random numbers


class Sampler:
    """The images of each batch, by number.

    images   how many there are; batch: how many per batch; shuffle: a new order in each epoch
    total    images of all batches together; None: endless
    labels, balance  with `labels`, an epoch takes a fixed number of images of each class: a class of n images counts
             n ** (1 - balance).  It goes through the images of a class in shuffled rounds that continue from epoch to
             epoch, so that every image is used
    """

    def __init__(self, images: int, batch: int, seed: int, shuffle: bool, total: int | None,
                 labels: np.ndarray | None = None, balance: float = 0.):
        self.images, self.batch, self.seed, self.shuffle, self.total = images, batch, seed, shuffle, total
        self._epochs: dict[int, np.ndarray] = {}
        self._classes = [] if labels is None else [np.flatnonzero(labels == c) for c in np.unique(labels)]
        weights = np.array([len(members) ** (1 - balance) for members in self._classes])
        exact = images * weights / weights.sum() if len(weights) else weights
        self._quotas = np.floor(exact).astype(int)
        self._quotas[np.argsort(self._quotas - exact, kind="stable")[:images - self._quotas.sum()]] += 1

    def count(self) -> int | None:
        """How many batches there are; None: endless."""
        return None if self.total is None else -(-self.total // self.batch)

    def indices(self, k: int) -> np.ndarray:
        """The images of batch k; fewer at the end, none after it."""
        stop = (k + 1) * self.batch if self.total is None else min((k + 1) * self.batch, self.total)
        place = np.arange(k * self.batch, stop)
        if not self.shuffle or not len(place):
            return place % self.images
        epoch = place // self.images
        return np.concatenate([self._permutation(e)[place[epoch == e] % self.images]
                               for e in range(epoch[0], epoch[-1] + 1)])

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            self._epochs = {e: order for e, order in self._epochs.items() if e == epoch - 1}
            rng = np.random.default_rng((self.seed, SHUFFLE, epoch))
            self._epochs[epoch] = rng.permutation(self._balanced(epoch) if self._classes else self.images)
        return self._epochs[epoch]

    def _balanced(self, epoch: int) -> np.ndarray:
        """The images of an epoch, class by class."""
        chosen = []
        for c, (members, quota) in enumerate(zip(self._classes, self._quotas, strict=True)):
            place = np.arange(epoch * quota, (epoch + 1) * quota)
            for lap in np.unique(place // len(members)):
                shuffled = np.random.default_rng((self.seed, CLASS, c, int(lap))).permutation(members)
                chosen.append(shuffled[place[place // len(members) == lap] % len(members)])
        return np.concatenate(chosen)

    def any_images(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Random images, with replacement; classes as often as in an epoch."""
        if not self._classes:
            return rng.integers(0, self.images, shape)
        ends = np.cumsum(self._quotas) / self._quotas.sum()
        classes = np.minimum(np.searchsorted(ends, rng.random(shape), side="right"), len(ends) - 1)
        sizes = np.array([len(members) for members in self._classes])
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        members = np.floor(rng.random(shape) * sizes[classes]).astype(np.intp)
        return np.concatenate(self._classes)[first[classes] + members]

    def draws(self, k: int, numbers: int) -> np.ndarray:
        """(batch, numbers) random numbers in 0..1 of batch k."""
        return np.random.default_rng((self.seed, DRAW, k)).random((self.batch, numbers))

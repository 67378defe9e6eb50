"""Which images and which random numbers belong to a batch: a function of the seed and the batch's number alone."""
import numpy as np

SHUFFLE, DRAW, CLASS, MIX = 0, 1, 2, 3      # separate streams of random numbers


class Order:
    """Batch after batch; images, batch, seed, shuffle and total (None: endless) as given to `batches`.

    With `balance` an epoch takes a fixed number of each class, and goes through the images of a class in shuffled
    rounds that run on from epoch to epoch, so that none is forgotten.
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
            for turn in np.unique(place // len(members)):
                mixed = np.random.default_rng((self.seed, CLASS, c, int(turn))).permutation(members)
                chosen.append(mixed[place[place // len(members) == turn] % len(members)])
        return np.concatenate(chosen)

    def any_images(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Images at random, with replacement; classes as often as in an epoch."""
        if not self._classes:
            return rng.integers(0, self.images, shape)
        ends = np.cumsum(self._quotas) / self._quotas.sum()
        kinds = np.minimum(np.searchsorted(ends, rng.random(shape), side="right"), len(ends) - 1)
        sizes = np.array([len(members) for members in self._classes])
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return np.concatenate(self._classes)[first[kinds] + np.floor(rng.random(shape) * sizes[kinds]).astype(np.intp)]

    def draws(self, k: int, numbers: int) -> np.ndarray:
        """(batch, numbers) in 0..1 of batch k."""
        return np.random.default_rng((self.seed, DRAW, k)).random((self.batch, numbers))

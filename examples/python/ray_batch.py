"""Classifies a folder of pictures with Ray Data: from disk to a table of results.

    pip install ./crates/snn-python 'ray[data]' pillow
    python3 ray_batch.py MODEL PICTURES OUT [WORKERS]

PICTURES has files that Pillow reads, in folders or not; OUT becomes a folder of Parquet files with
the columns path, class, name, probability and worker. Each of the WORKERS (2 without it) is a
process that loads the model once and takes batch after batch, while Ray reads and decodes the next
pictures; on a cluster the same program uses its machines.
"""

import os
import sys

import numpy as np
import ray
import snn

BATCH = 256


class Classifier:
    """The model of one worker."""

    def __init__(self, path):
        # One thread: the workers are beside each other.
        self.model = snn.Model(path, threads=1)

    def __call__(self, batch):
        # Pictures are H, W, C; the model takes C, H, W.
        scores = self.model.run(np.stack(batch["image"]).transpose(0, 3, 1, 2))
        classes = scores.argmax
        names = [self.model.classes[index] for index in classes]
        probabilities = np.take_along_axis(scores.probabilities, classes[:, None], 1)[:, 0]
        return {
            "path": batch["path"],
            "class": classes,
            "name": np.array(names, str),
            "probability": probabilities,
            "worker": np.full(len(classes), os.getpid()),
        }


def main(path, pictures, out, workers=2):
    """Classifies the pictures; the number of them."""
    # Checked here once, before workers start.
    channels, height, width = snn.Model(path).input_shape
    if channels != 3:
        sys.exit(f"expected a model of colour pictures, found one of {channels} channels")
    read = ray.data.read_images(pictures, size=(height, width), mode="RGB", include_paths=True)
    # Half a processor in Ray's books: with a whole one for each, as many workers as there are
    # processors would leave none for what reads the pictures, and wait for ever.
    results = read.map_batches(
        Classifier, fn_constructor_args=(path,), batch_size=BATCH, concurrency=workers, num_cpus=0.5
    )
    results.write_parquet(out)
    return ray.data.read_parquet(out).count()


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    ray.init(log_to_driver=False)
    count = main(*sys.argv[1:4], *map(int, sys.argv[4:]))
    print(f"{count} pictures in {sys.argv[3]}")

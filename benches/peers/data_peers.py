"""The work of `benches/src/data.rs` in SpikingJelly, tonic and torchvision with PIL, on one thread,
as one line of JSON.

python data_peers.py FOLDER SECONDS        (FOLDER: dvs/moving-dark-box.aedat, imagenet-sample/val/)
"""

import importlib.metadata
import itertools
import json
import pathlib
import sys
import time

import numpy as np
import tonic.io
import torch
from PIL import Image
from spikingjelly.datasets import cifar10_dvs, utils
from tonic.functional import to_frame_numpy
from torchvision import transforms

MEAN = (125, 123, 114)
torch.set_num_threads(1)


def per_second(work, seconds):
    """How often `work` is done a second, for at least so long after one that is not counted."""
    work(0)
    start = time.perf_counter()
    for done in itertools.count():
        spent = time.perf_counter() - start
        if spent >= seconds:
            return done / spent
        work(done)


def cutout(image):
    """A square of 16 pixels around a random pixel, of the mean."""
    y, x = (int(torch.randint(32, ())) for _ in range(2))
    fill = torch.tensor(MEAN, dtype=torch.uint8)[:, None, None]
    image[:, max(y - 8, 0) : y + 8, max(x - 8, 0) : x + 8] = fill
    return image


def main():
    folder, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])
    path = folder / "dvs/moving-dark-box.aedat"

    def spikingjelly(_):
        return utils.integrate_events_by_fixed_frames_number(
            cifar10_dvs._load_origin_data(path), "number", 10, 128, 128
        )

    def tonic_frames(_):
        # tonic.io.read_dvs_128 of 1.7.0 does not run; these are its steps.
        version, start, _ = tonic.io.read_aedat_header_from_file(str(path))
        raw = tonic.io.get_aer_events_from_file(str(path), version, start)
        address = raw["address"]
        events = tonic.io.make_structured_array(
            address >> 8 & 127, address >> 1 & 127, raw["timeStamp"], address & 1
        )
        return to_frame_numpy(events, (128, 128, 2), n_event_bins=10)

    files = sorted(folder.glob("imagenet-sample/val/*/*"))
    torch.manual_seed(0)
    crop = transforms.Compose([transforms.RandomResizedCrop(224), transforms.PILToTensor()])
    augment = transforms.Compose(
        [
            transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10, fill=MEAN),
            transforms.RandomCrop(32, 4, fill=MEAN),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
            cutout,
        ]
    )
    images = [
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8))
        for i in range(512)
    ]
    packages = ("spikingjelly", "tonic", "torchvision", "pillow", "numpy")
    print(
        json.dumps(
            {
                "spikingjelly_recordings": per_second(spikingjelly, seconds),
                "tonic_recordings": per_second(tonic_frames, seconds),
                "crops": per_second(
                    lambda i: crop(Image.open(files[i % len(files)]).convert("RGB")), seconds
                ),
                "augmented": per_second(lambda i: augment(images[i % len(images)]), seconds),
                "versions": ", ".join(
                    f"{package} {importlib.metadata.version(package)}" for package in packages
                ),
            }
        )
    )


if __name__ == "__main__":
    main()

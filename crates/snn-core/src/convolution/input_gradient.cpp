// The gradient of a convolution for its input, by libtorch. The other side is libtorch.rs.
#include "../caught.h"
#include <ATen/ops/convolution_backward.h>
#include <c10/core/GradMode.h>
#include <cstdint>
#include <tuple>

using at::Tensor;

extern "C" {

// `out` gets a tensor that the other side owns. Null, or a message.
char *snn_convolution_input_gradient(const Tensor *gradient, const Tensor *input,
                                     const Tensor *weight, const int64_t *stride,
                                     const int64_t *padding, const int64_t *dilation,
                                     Tensor **out) {
    return caught([&] {
        c10::AutoGradMode off(false);
        auto pair = [](const int64_t *values) { return at::IntArrayRef(values, 2); };
        auto gradients = at::convolution_backward(
            *gradient, *input, *weight, at::OptionalIntArrayRef(), pair(stride), pair(padding),
            pair(dilation), false, {0, 0}, 1, {true, false, false});
        *out = new Tensor(std::get<0>(gradients));
    });
}

} // extern "C"

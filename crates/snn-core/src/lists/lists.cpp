// Operations of libtorch on lists of tensors. The other side is mod.rs.
#include "../caught.h"
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <cstddef>
#include <vector>

namespace {

using at::Tensor;
using Raw = Tensor *const *;

std::vector<Tensor> list(Raw tensors, size_t count) {
    std::vector<Tensor> all;
    all.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        all.push_back(*tensors[i]);
    }
    return all;
}

// `true` if the values of two tensors of one shape stand in one order. Strides of axes of length 1
// say nothing.
bool alike(const Tensor &a, const Tensor &b) {
    for (int64_t axis = 0; axis < a.dim(); ++axis) {
        if (a.size(axis) > 1 && a.stride(axis) != b.stride(axis)) {
            return false;
        }
    }
    return true;
}

// libtorch's fused operations run over the memory of all lists in step, whatever the strides say.
// So parameters must fill theirs, and what is kept of them be laid out as they are.
void check(const std::vector<Tensor> &parameters, const std::vector<Tensor> &kept) {
    for (size_t i = 0; i < parameters.size(); ++i) {
        const Tensor &p = parameters[i];
        TORCH_CHECK(p.is_non_overlapping_and_dense(), "parameter ", i, " of a list must fill its ",
                    "memory without gaps, found sizes ", p.sizes(), " with strides ", p.strides());
        if (i < kept.size()) {
            TORCH_CHECK(alike(p, kept[i]), "what is kept of parameter ", i, " of a list must have ",
                        "its strides ", p.strides(), ", found ", kept[i].strides());
        }
    }
}

// Gradients in the memory layout of their parameters.
std::vector<Tensor> laid_out(const std::vector<Tensor> &parameters, Raw gradients) {
    std::vector<Tensor> all;
    all.reserve(parameters.size());
    for (size_t i = 0; i < parameters.size(); ++i) {
        const Tensor &p = parameters[i], &g = *gradients[i];
        all.push_back(g.strides() == p.strides() ? g : at::empty_like(p).copy_(g));
    }
    return all;
}

// Makes a backward pass that saved one of the tensors before say that it was changed: operations on
// lists do not.
void changed(const std::vector<Tensor> &tensors) {
    for (const Tensor &tensor : tensors) {
        tensor.unsafeGetTensorImpl()->bump_version();
    }
}

// Runs without recording a graph, unless the lists are empty; null, or a message.
template <typename Run> char *guarded(size_t count, Run run) {
    return caught([&] {
        c10::NoGradGuard guard;
        if (count > 0) {
            run();
        }
    });
}

} // namespace

extern "C" {

// Without momentum there are no momenta.
char *snn_list_sgd(Raw parameters, Raw gradients, Raw momenta, size_t count, double rate,
                   double momentum, double decay, bool nesterov) {
    return guarded(count, [&] {
        auto p = list(parameters, count);
        const auto m = list(momenta, momenta ? count : 0);
        check(p, m);
        at::_fused_sgd_(p, laid_out(p, gradients), m, decay, momentum, rate, /*dampening=*/0.0,
                        nesterov, /*maximize=*/false, /*is_first_step=*/false);
        changed(p);
        changed(m);
    });
}

char *snn_list_adamw(Raw parameters, Raw gradients, Raw first, Raw second, size_t count,
                     double rate, double beta1, double beta2, double eps, double decay,
                     double step) {
    return guarded(count, [&] {
        auto p = list(parameters, count);
        const auto m = list(first, count), v = list(second, count);
        check(p, m);
        check(p, v);
        const std::vector<Tensor> steps(
            count, at::full({}, step, p[0].options().dtype(at::kFloat).requires_grad(false)));
        at::_fused_adamw_(p, laid_out(p, gradients), m, v, {}, steps, rate, beta1, beta2, decay,
                          eps, /*amsgrad=*/false, /*maximize=*/false);
        changed(p);
        changed(m);
        changed(v);
    });
}

char *snn_list_lerp(Raw from, Raw to, size_t count, double weight) {
    return guarded(count, [&] {
        auto all = list(from, count);
        at::_foreach_lerp_(all, list(to, count), at::Scalar(weight));
        changed(all);
    });
}

char *snn_list_scale(Raw tensors, size_t count, double factor) {
    return guarded(count, [&] {
        auto all = list(tensors, count);
        at::_foreach_mul_(all, at::Scalar(factor));
        changed(all);
    });
}

// The norm of all values together.
char *snn_list_norm(Raw tensors, size_t count, double *out) {
    return guarded(count, [&] {
        const auto norms = at::_foreach_norm(list(tensors, count));
        *out = at::stack(norms).to(at::kDouble).norm().item<double>();
    });
}

char *snn_list_clear_gradients(Raw parameters, size_t count) {
    return guarded(count, [&] {
        for (size_t i = 0; i < count; ++i) {
            parameters[i]->mutable_grad() = Tensor();
        }
    });
}
}

// Operations of libtorch on lists of tensors. The other side is mod.rs.
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <cstddef>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace {

using at::Tensor;

std::vector<Tensor> list(Tensor *const *tensors, size_t count) {
    std::vector<Tensor> all;
    all.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        all.push_back(*tensors[i]);
    }
    return all;
}

// Gradients in the memory layout of their parameters, which libtorch's fused operations take for
// granted: they run over the memory of all lists in step.
std::vector<Tensor> laid_out(const std::vector<Tensor> &parameters, Tensor *const *gradients) {
    std::vector<Tensor> all;
    all.reserve(parameters.size());
    for (size_t i = 0; i < parameters.size(); ++i) {
        const Tensor &p = parameters[i], &g = *gradients[i];
        all.push_back(g.strides() == p.strides() ? g : at::empty_like(p).copy_(g));
    }
    return all;
}

// Runs without recording a graph, unless the lists are empty; null, or a message, which the other
// side frees.
template <typename Run> char *guarded(size_t count, Run run) {
    try {
        c10::NoGradGuard guard;
        if (count > 0) {
            run();
        }
        return nullptr;
    } catch (const std::exception &error) {
        return strdup(error.what());
    }
}

} // namespace

extern "C" {

// `counts` are those of parameters, and gradients, and of momenta.
char *snn_list_sgd(Tensor *const *parameters, Tensor *const *gradients, Tensor *const *momenta,
                   const size_t *counts, double rate, double momentum, double decay,
                   bool nesterov) {
    return guarded(counts[0], [&] {
        auto p = list(parameters, counts[0]);
        at::_fused_sgd_(p, laid_out(p, gradients), list(momenta, counts[1]), decay, momentum, rate,
                        /*dampening=*/0.0, nesterov, /*maximize=*/false, /*is_first_step=*/false);
    });
}

char *snn_list_adamw(Tensor *const *parameters, Tensor *const *gradients, Tensor *const *first,
                     Tensor *const *second, size_t count, double rate, double beta1, double beta2,
                     double eps, double decay, double step) {
    return guarded(count, [&] {
        auto p = list(parameters, count);
        const std::vector<Tensor> steps(
            count, at::full({}, step, p[0].options().dtype(at::kFloat).requires_grad(false)));
        at::_fused_adamw_(p, laid_out(p, gradients), list(first, count), list(second, count), {},
                          steps, rate, beta1, beta2, decay, eps, /*amsgrad=*/false,
                          /*maximize=*/false);
    });
}

char *snn_list_lerp(Tensor *const *from, Tensor *const *to, size_t count, double weight) {
    return guarded(count, [&] {
        auto all = list(from, count);
        at::_foreach_lerp_(all, list(to, count), at::Scalar(weight));
    });
}

char *snn_list_scale(Tensor *const *tensors, size_t count, double factor) {
    return guarded(count, [&] {
        auto all = list(tensors, count);
        at::_foreach_mul_(all, at::Scalar(factor));
    });
}

// The norm of all values together.
char *snn_list_norm(Tensor *const *tensors, size_t count, double *out) {
    return guarded(count, [&] {
        const auto norms = at::_foreach_norm(list(tensors, count));
        *out = at::stack(norms).to(at::kDouble).norm().item<double>();
    });
}

char *snn_list_clear_gradients(Tensor *const *parameters, size_t count) {
    return guarded(count, [&] {
        for (size_t i = 0; i < count; ++i) {
            parameters[i]->mutable_grad() = Tensor();
        }
    });
}
}

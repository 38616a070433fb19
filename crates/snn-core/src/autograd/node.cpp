// A node of libtorch's autograd graph whose backward pass is a closure of the caller, and
// libtorch's parallel loop. The other side is ffi.rs.
#include <ATen/Parallel.h>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>
#include <utility>
#include <vector>

namespace {

using at::Tensor;
namespace ag = torch::autograd;

// Copies a message for the other side, which frees it.
char *message(const char *text) { return strdup(text); }

// A closure of the other side. `call` gets tensors that it owns (null where a gradient is absent)
// and writes as many that we own; it returns null, or a message.
struct Closure {
    void *data;
    char *(*call)(void *data, Tensor **saved, size_t saved_count, Tensor **gradients,
                  size_t gradient_count, Tensor **out, size_t out_count);
    void (*drop)(void *data);
};

struct ClosureNode : ag::Node {
    ClosureNode(std::string label, Closure closure) : label(std::move(label)), closure(closure) {}
    ClosureNode(const ClosureNode &) = delete;
    ~ClosureNode() override { drop(); }

    std::string name() const override { return label; }

    void release_variables() override {
        std::lock_guard<std::mutex> lock(mutex_);
        saved.clear();
        drop();
    }

    ag::variable_list apply(ag::variable_list &&gradients) override {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!closure.data) {
            throw std::runtime_error(label + ": a second backward pass through values that the "
                                             "first one released; keep the graph in the first");
        }
        // Unpacking refuses what was changed in place since.
        std::vector<Tensor> values;
        for (const auto &variable : saved) {
            values.push_back(variable.unpack());
        }
        const bool twice = at::GradMode::is_enabled();
        ag::variable_list results(num_outputs());
        {
            at::AutoGradMode off(false);
            std::vector<Tensor *> owned, given, out(results.size(), nullptr);
            for (auto &value : values) {
                owned.push_back(new Tensor(std::move(value)));
            }
            for (auto &gradient : gradients) {
                given.push_back(gradient.defined() ? new Tensor(std::move(gradient)) : nullptr);
            }
            char *error = closure.call(closure.data, owned.data(), owned.size(), given.data(),
                                       given.size(), out.data(), out.size());
            for (size_t i = 0; i < out.size(); ++i) {
                std::unique_ptr<Tensor> result(out[i]);
                if (result && should_compute_output(i)) {
                    results[i] = std::move(*result);
                }
            }
            if (error) {
                std::string text = label + ": " + error;
                std::free(error);
                throw std::runtime_error(text);
            }
        }
        // The closure computes without a graph: a gradient of its gradient would silently be zero.
        if (twice) {
            std::string message = label + ": its gradient has no gradient (double backward)";
            std::shared_ptr<ag::Error> refuse(new ag::Error(std::move(message)), ag::deleteNode);
            for (auto &result : results) {
                if (result.defined()) {
                    result = result.variable_data();
                    ag::set_history(result, refuse);
                }
            }
        }
        return results;
    }

    std::string label;
    Closure closure;
    std::vector<ag::SavedVariable> saved;

  private:
    void drop() {
        if (closure.data) {
            closure.drop(closure.data);
            closure.data = nullptr;
        }
    }
};

} // namespace

extern "C" {

// Makes `outputs` depend on `inputs`. Takes the closure in every case. Returns null, or a message.
char *snn_autograd_record(const char *label, Tensor *const *inputs, size_t input_count,
                          Tensor *const *outputs, size_t output_count, Tensor *const *saved,
                          size_t saved_count, Closure closure) {
    try {
        std::shared_ptr<ClosureNode> node(new ClosureNode(label, closure), ag::deleteNode);
        std::vector<Tensor> sources;
        for (size_t i = 0; i < input_count; ++i) {
            sources.push_back(*inputs[i]);
        }
        if (!at::GradMode::is_enabled() || !ag::any_variable_requires_grad(sources)) {
            return nullptr;
        }
        for (size_t i = 0; i < output_count; ++i) {
            if (outputs[i]->is_view() || outputs[i]->requires_grad() ||
                !at::isFloatingType(outputs[i]->scalar_type())) {
                throw std::runtime_error("output " + std::to_string(i) +
                                         " must be a fresh floating-point tensor, neither a view "
                                         "nor part of a graph");
            }
        }
        node->set_next_edges(ag::collect_next_edges(at::ArrayRef<Tensor>(sources)));
        for (size_t i = 0; i < saved_count; ++i) {
            // Detached, an output among them does not own its own node; the version counter is
            // shared.
            node->saved.emplace_back(saved[i]->detach(), false);
        }
        for (size_t i = 0; i < output_count; ++i) {
            ag::set_history(*outputs[i], node);
        }
        return nullptr;
    } catch (const std::exception &error) {
        return message(error.what());
    } catch (...) {
        return message("an unknown error");
    }
}

// `run(data, first, last)` over ranges that cover 0 to `count`, in libtorch's threads.
void snn_parallel(int64_t count, int64_t grain,
                  void (*run)(const void *data, int64_t first, int64_t last), const void *data) {
    at::parallel_for(0, count, grain, [&](int64_t first, int64_t last) { run(data, first, last); });
}

void snn_free(char *text) { std::free(text); }

} // extern "C"

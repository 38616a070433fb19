// A group of processes on torch's own engine: c10d's TCP store and Gloo. The other side is
// processes.rs.
#include "../caught.h"
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

namespace {

using at::Tensor;

struct Group {
    // The server of rank 0 lives as long as its group.
    c10::intrusive_ptr<c10d::Store> store;
    c10::intrusive_ptr<c10d::Backend> backend;
    int size;
    // Room for the parts of a sum: those that the ranks send, and those that they receive.
    Tensor sent, received;
};

} // namespace

extern "C" {

// Meets the other ranks at `master:port`, where rank 0 listens, and connects with them from the
// interface, or if that is empty from the address.
char *snn_group_new(const char *master, uint16_t port, const char *interface, const char *address,
                    int rank, int size, int64_t milliseconds, Group **out) {
    return caught([&] {
        const std::chrono::milliseconds timeout(milliseconds);
        c10d::TCPStoreOptions options;
        options.port = port;
        options.isServer = rank == 0;
        options.numWorkers = size;
        options.timeout = timeout;
        std::unique_ptr<Group> group(new Group{});
        group->size = size;
        group->store = c10::make_intrusive<c10d::TCPStore>(master, options);
        auto settings = c10d::ProcessGroupGloo::Options::create(timeout);
        settings->devices.push_back(
            *interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                       : c10d::ProcessGroupGloo::createDeviceForHostname(address));
        group->backend =
            c10::make_intrusive<c10d::ProcessGroupGloo>(group->store, rank, size, settings);
        *out = group.release();
    });
}

void snn_group_drop(Group *group) { delete group; }

// Writes the `count` values of every rank to `out`, one rank after another.
char *snn_group_all_gather(Group *group, double *values, int64_t count, double *out) {
    return caught([&] {
        Tensor own = at::from_blob(values, {count}, at::kDouble);
        Tensor all = at::from_blob(out, {count * group->size}, at::kDouble);
        group->backend->_allgather_base(all, own)->wait();
    });
}

// Overwrites the bytes of every rank with those of rank 0.
char *snn_group_broadcast(Group *group, uint8_t *bytes, int64_t count) {
    return caught([&] {
        std::vector<Tensor> all{at::from_blob(bytes, {count}, at::kByte)};
        group->backend->broadcast(all)->wait();
    });
}

// Replaces the values of a contiguous tensor of one dimension by their sums over all ranks. Each
// rank adds up one part, in the order of ranks, so that all have the same bits.
char *snn_group_sum(Group *group, Tensor *values) {
    return caught([&] {
        at::AutoGradMode off(false);
        const int64_t size = group->size, part = (values->numel() + size - 1) / size;
        const auto options = values->options().device(at::kCPU);
        if (!group->sent.defined() || group->sent.numel() != part * size ||
            group->sent.scalar_type() != values->scalar_type()) {
            group->sent = at::zeros({part * size}, options);
            group->received = at::empty({part * size}, options);
        }
        Tensor &sent = group->sent, &received = group->received;
        sent.narrow(0, 0, values->numel()).copy_(*values);
        std::vector<int64_t> even;
        group->backend->alltoall_base(received, sent, even, even)->wait();
        Tensor sum = received.narrow(0, 0, part);
        for (int64_t rank = 1; rank < size; ++rank) {
            sum.add_(received.narrow(0, rank * part, part));
        }
        group->backend->_allgather_base(sent, sum)->wait();
        values->copy_(sent.narrow(0, 0, values->numel()));
    });
}

} // extern "C"

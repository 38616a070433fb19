// The stream that libtorch computes on. The other side is cuda.rs.
#include "../caught.h"
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

// Writes the current stream of a CUDA device; null, or a message, which the other side frees.
extern "C" char *snn_current_stream(int device, void **out) {
    return caught([&] {
        const c10::Device of(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
        *out = c10::impl::VirtualGuardImpl(of.type()).getStream(of).native_handle();
    });
}

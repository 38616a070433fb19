#pragma once

namespace gloo {
namespace transport {

// Behind pointers only.
class Device;
class UnboundBuffer;

} // namespace transport
} // namespace gloo

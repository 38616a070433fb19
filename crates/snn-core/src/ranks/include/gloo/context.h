#pragma once
#include <chrono>

namespace gloo {

// Behind a pointer only: the constructor and the fields are libtorch's.
class Context {
  public:
    void setTimeout(std::chrono::milliseconds timeout);
};

} // namespace gloo

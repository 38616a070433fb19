// What the text of a kernel needs of CUDA, for the C++ compiler of the host: the threads of a block
// are coroutines, which take turns at its barriers. For tests.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ucontext.h>
#include <vector>

#define __device__
#define __global__
#define __shared__

struct Index {
    unsigned x, y, z;
};

static Index blockIdx, blockDim, gridDim, threadIdx;
// The dynamic shared memory of the block that runs.
static double room[1 << 16];

namespace host {

struct Thread {
    ucontext_t context;
    std::vector<char> stack;
    Index index;
    bool ended;
};

static std::vector<Thread> threads;
static size_t running;
static ucontext_t scheduler;
static void (*body)(void **);
static void **arguments;

static void begin() {
    body(arguments);
    threads[running].ended = true;
    swapcontext(&threads[running].context, &scheduler);
}

// Runs a block from barrier to barrier, its threads in turn.
static void block() {
    const unsigned count = blockDim.x * blockDim.y;
    if (threads.size() < count) {
        threads.resize(count);
    }
    for (unsigned at = 0; at < count; ++at) {
        Thread &thread = threads[at];
        thread.stack.resize(1 << 17);
        thread.index = {at % blockDim.x, at / blockDim.x, 0};
        thread.ended = false;
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.data();
        thread.context.uc_stack.ss_size = thread.stack.size();
        thread.context.uc_link = nullptr;
        makecontext(&thread.context, begin, 0);
    }
    for (bool any = true; any;) {
        any = false;
        for (running = 0; running < count; ++running) {
            if (!threads[running].ended) {
                threadIdx = threads[running].index;
                swapcontext(&scheduler, &threads[running].context);
                any = true;
            }
        }
    }
}

static void launch(void (*kernel)(void **), const uint32_t *grid, const uint32_t *size,
                   void **given) {
    body = kernel;
    arguments = given;
    gridDim = {grid[0], grid[1], 1};
    blockDim = {size[0], size[1], 1};
    for (unsigned y = 0; y < grid[1]; ++y) {
        for (unsigned x = 0; x < grid[0]; ++x) {
            blockIdx = {x, y, 0};
            // What a block finds in its shared memory is undefined.
            std::memset(room, 0xff, sizeof room);
            block();
        }
    }
}

} // namespace host

static void __syncthreads() {
    swapcontext(&host::threads[host::running].context, &host::scheduler);
}

// The kernels of site.cu as functions of the host.
#include "host.h"

#include "site.cu"

template <typename Type> static Type argument(void **arguments, int at) {
    return *static_cast<Type *>(arguments[at]);
}

static void forward(void **a) { site_forward(argument<Site>(a, 0), argument<Store *>(a, 1)); }

static void backward(void **a) {
    site_backward(argument<Site>(a, 0), argument<const Store *>(a, 1), argument<Store *>(a, 2),
                  argument<Store *>(a, 3), argument<double *>(a, 4));
}

static void moments(void **a) { site_moments(argument<Site>(a, 0), argument<double *>(a, 1)); }

static void norms(void **a) {
    site_norms(argument<Site>(a, 0), argument<const double *>(a, 1), argument<int>(a, 2),
               argument<int>(a, 3));
}

static void gradients(void **a) {
    site_gradients(argument<Site>(a, 0), argument<const double *>(a, 1), argument<int>(a, 2),
                   argument<float *>(a, 3), argument<float *>(a, 4), argument<double>(a, 5),
                   argument<double *>(a, 6));
}

static void through_norms(void **a) {
    site_through_norms(argument<Site>(a, 0), argument<const Store *>(a, 1),
                       argument<const Store *>(a, 2));
}

// Runs a kernel by its name; 1 if there is none.
extern "C" int host_launch(const char *name, const uint32_t *grid, const uint32_t *block,
                           void **arguments) {
    const struct {
        const char *name;
        void (*kernel)(void **);
    } all[] = {{"site_forward", forward}, {"site_backward", backward},
               {"site_moments", moments}, {"site_norms", norms},
               {"site_gradients", gradients}, {"site_through_norms", through_norms}};
    for (const auto &one : all) {
        if (!std::strcmp(one.name, name)) {
            host::launch(one.kernel, grid, block, arguments);
            return 0;
        }
    }
    return 1;
}

// For a check that both sides lay out the arguments alike.
extern "C" uint64_t host_size_of_site() { return sizeof(Site); }

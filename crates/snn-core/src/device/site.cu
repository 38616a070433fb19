// An activation site over all macro-steps, with the sum and the batch norms before it: one pass
// over memory forward, two backward, and one for the statistics of each batch norm.
//
// The text is compiled by NVRTC for a GPU, and for tests by the C++ compiler of the host. These
// macros say what site it is of (specialisation.rs):
//
//   STEPS          macro-steps T
//   PACK           neighbouring channels that a thread computes: 8, 4, 2 or 1
//   BF16           1: values in memory are bf16; 0: f32
//   TERMS          terms of the sum
//   STATIC_TERMS   bit k: term k does not vary over time
//   NORMED_TERMS   bit k: term k stands behind a batch norm
//   NEURON         0 ReLU, 1 quantised ReLU, 2 LIF
//   SPIKE          0 binary, 1 ternary, 2 integer
//   RESET          0 hard, 1 soft, 2 none
//   FLOWING        1: gradients flow through the reset
//   SURROGATE      0 ATan, 1 rectangle, 2 triangle, 3 sigmoid, 4 inverse square, 5 Gaussian,
//                  6 log-tailed ReLU, 7 straight through
//   LEARNS_LEAK    1: the leak has a gradient
//   LEARNS_VALUE   1: the threshold, or the step of a quantised ReLU, has a gradient
//   PER_CHANNEL    1: there is one of it for each channel
//   SHARE          1: the first membrane is a share of the way to the threshold
//
// Values stand channels last: neuron p·C + c is channel c at position p of the batch, and
// macro-step t begins at t·positions·C. Operations are those of the kernels of the CPU in the same
// order, a product rounded before the sum it stands in (no fused multiply-add), so that spikes are
// equal. A thread has some channels at every so manyth position, so that sums over a layer are
// made in one order, without atomics: the same bits in every run.

#if BF16
typedef unsigned short Store;
#else
typedef float Store;
#endif

struct alignas(PACK * sizeof(Store)) Pack {
    Store values[PACK];
};

// A batch norm. In single precision it is y = x·factor + summand.
struct Norm {
    float *factor, *summand, *mean;
    // 1/√(σ² + ε).
    double *inverse;
    // γ, which may be null, and β.
    const float *weight, *bias;
    float *running_mean, *running_variance;
    double eps, momentum;
    // Values of a channel.
    double count;
    // For the second pass of the gradient: Σdy/N, and Σ(dy·(x − μ))/(N·(σ² + ε)).
    float *center, *slope;
    // Gradients of γ (may be null) and β.
    float *by_weight, *by_bias;
    // The gradient of the term, which may stand in the place of that of the sum.
    Store *by_term;
};

struct Site {
    const Store *terms[4];
    Norm norms[4];
    // The threshold or the step: one, or one for each channel; null for `constant`.
    const float *value;
    // What is known of a LIF neuron. A learned leak is one number on the device; without one the
    // pointer is null.
    const float *learned_leak;
    float leak, rest, share, first, top, constant;
    // The two numbers of the surrogate.
    float surrogate[2];
    long long positions;
    int channels;
};

__device__ inline float load_one(const Store *at) {
#if BF16
    union {
        unsigned int bits;
        float value;
    } wide;
    wide.bits = (unsigned int)*at << 16;
    return wide.value;
#else
    return *at;
#endif
}

__device__ inline Store stored(float value) {
#if BF16
    union {
        float value;
        unsigned int bits;
    } wide;
    wide.value = value;
    // To the nearest, ties to even; a NaN stays one.
    if (value != value) {
        return 0x7fc0;
    }
    return (Store)((wide.bits + 0x7fff + ((wide.bits >> 16) & 1)) >> 16);
#else
    return value;
#endif
}

__device__ inline void load(const Store *at, float *out) {
    const Pack pack = *(const Pack *)at;
#pragma unroll
    for (int k = 0; k < PACK; ++k) {
        out[k] = load_one(&pack.values[k]);
    }
}

__device__ inline void store(Store *at, const float *values) {
    Pack pack;
#pragma unroll
    for (int k = 0; k < PACK; ++k) {
        pack.values[k] = stored(values[k]);
    }
    *(Pack *)at = pack;
}

__device__ inline bool is_static(int term) { return (STATIC_TERMS >> term) & 1; }
__device__ inline bool is_normed(int term) { return (NORMED_TERMS >> term) & 1; }

// What a thread knows of its channels.
struct Channels {
    float factor[TERMS][PACK], summand[TERMS][PACK];
    float value[PACK];
    float leak;
};

__device__ inline void know(const Site &site, int channel, Channels &of) {
#pragma unroll
    for (int term = 0; term < TERMS; ++term) {
        if (is_normed(term)) {
#pragma unroll
            for (int k = 0; k < PACK; ++k) {
                of.factor[term][k] = site.norms[term].factor[channel + k];
                of.summand[term][k] = site.norms[term].summand[channel + k];
            }
        }
    }
#if NEURON > 0
#pragma unroll
    for (int k = 0; k < PACK; ++k) {
        of.value[k] = site.value ? site.value[PER_CHANNEL ? channel + k : 0] : site.constant;
    }
#endif
#if NEURON == 2
    of.leak = site.learned_leak ? *site.learned_leak : site.leak;
#endif
}

// The values of the terms that do not vary, which are loaded once.
struct Fixed {
    float values[TERMS][PACK];
};

__device__ inline void load_fixed(const Site &site, long long at, Fixed &fixed) {
#pragma unroll
    for (int term = 0; term < TERMS; ++term) {
        if (is_static(term)) {
            load(site.terms[term] + at, fixed.values[term]);
        }
    }
}

// The sum of the terms at a macro-step, from left to right.
__device__ inline void current_of(const Site &site, const Channels &of, const Fixed &fixed,
                                  long long at, float *sum) {
#pragma unroll
    for (int term = 0; term < TERMS; ++term) {
        float x[PACK];
        if (is_static(term)) {
#pragma unroll
            for (int k = 0; k < PACK; ++k) {
                x[k] = fixed.values[term][k];
            }
        } else {
            load(site.terms[term] + at, x);
        }
#pragma unroll
        for (int k = 0; k < PACK; ++k) {
            const float y =
                is_normed(term) ? x[k] * of.factor[term][k] + of.summand[term][k] : x[k];
            sum[k] = term == 0 ? y : sum[k] + y;
        }
    }
}

__device__ inline float at_least(float value, float least) { return value > least ? value : least; }
__device__ inline float at_most(float value, float most) { return value < most ? value : most; }

// The level of a ratio: clip(⌊x + ½⌋, 0, D).
__device__ inline float level_of(float ratio, float top) {
    return at_most(at_least(floorf(ratio + 0.5f), 0.0f), top);
}

// What a LIF neuron emits.
__device__ inline float fire(float u, float theta, float top) {
#if SPIKE == 0
    return u >= theta ? 1.0f : 0.0f;
#elif SPIKE == 1
    return (u >= theta ? 1.0f : 0.0f) - (u <= -theta ? 1.0f : 0.0f);
#else
    return level_of(u / theta, top);
#endif
}

// u⁺ − v_r.
__device__ inline float discharged(float u, float level, float theta, float rest) {
#if RESET == 0
    return level == 0.0f ? u - rest : 0.0f;
#elif RESET == 1
    return u - theta * level - rest;
#else
    return u - rest;
#endif
}

// The distance of the first membrane from v_r.
__device__ inline float first_of(const Site &site, float theta) {
#if SHARE
    return (theta - site.rest) * site.share + site.rest - site.rest;
#else
    return site.first;
#endif
}

// One macro-step: takes the state on; writes what the backward pass needs, and what is emitted.
__device__ inline void step(const Site &site, const Channels &of, const float *current,
                            float *state, float *kept, float *emitted) {
#pragma unroll
    for (int k = 0; k < PACK; ++k) {
#if NEURON == 0
        kept[k] = current[k];
        emitted[k] = current[k] < 0.0f ? 0.0f : current[k];
#elif NEURON == 1
        const float ratio = current[k] / of.value[k];
        kept[k] = ratio;
        emitted[k] = level_of(ratio, site.top) * of.value[k];
#else
        const float u = state[k] + current[k];
        const float o = fire(u, of.value[k], site.top);
        kept[k] = u;
        emitted[k] = o;
        state[k] = discharged(u, o, of.value[k], site.rest) * of.leak + site.rest;
#endif
    }
}

__device__ inline void first_state(const Site &site, const Channels &of, float *state) {
#if NEURON == 2
#pragma unroll
    for (int k = 0; k < PACK; ++k) {
        state[k] = first_of(site, of.value[k]) * of.leak + site.rest;
    }
#endif
}

// The first position of a thread, and the distance to its next ones.
__device__ inline long long first_position() {
    return (long long)blockIdx.y * blockDim.y + threadIdx.y;
}
__device__ inline long long positions_apart() { return (long long)gridDim.y * blockDim.y; }

extern "C" __global__ void site_forward(Site site, Store *out) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (channel >= site.channels) {
        return;
    }
    Channels of;
    know(site, channel, of);
    const long long neurons = site.positions * site.channels;
    for (long long p = first_position(); p < site.positions; p += positions_apart()) {
        const long long at = p * site.channels + channel;
        Fixed fixed;
        load_fixed(site, at, fixed);
        float state[PACK], current[PACK], kept[PACK], emitted[PACK];
        first_state(site, of, state);
#pragma unroll
        for (int t = 0; t < STEPS; ++t) {
            const long long here = t * neurons + at;
            current_of(site, of, fixed, here, current);
            step(site, of, current, state, kept, emitted);
            store(out + here, emitted);
        }
    }
}

// h′(x).
__device__ inline float derivative(const Site &site, float x) {
    const float a = site.surrogate[0], b = site.surrogate[1];
#if SURROGATE == 0
    const float scaled = a * x;
    return b / (1.0f + scaled * scaled);
#elif SURROGATE == 1
    return fabsf(x) < a ? b : 0.0f;
#elif SURROGATE == 2
    return at_least(a - fabsf(x), 0.0f) / b;
#elif SURROGATE == 3
    const float e = expf(-fabsf(a * x));
    const float one_and_e = 1.0f + e;
    return a * e / (one_and_e * one_and_e);
#elif SURROGATE == 4
    const float base = a * fabsf(x) + 1.0f;
    return b / (base * base);
#elif SURROGATE == 5
    return expf(-(x * x * a)) * b;
#elif SURROGATE == 6
    return x > 0.0f ? 1.0f / at_least(x, 1.0f) : a;
#else
    return 1.0f;
#endif
}

#define NORMS                                                                                     \
    (((NORMED_TERMS >> 0) & 1) + ((NORMED_TERMS >> 1) & 1) + ((NORMED_TERMS >> 2) & 1) +          \
     ((NORMED_TERMS >> 3) & 1))
// Sums of a backward pass: for each batch norm the gradient, and the gradient times the distance
// from the mean; then those of the leak and of the threshold or step.
#define SUMS (2 * NORMS + LEARNS_LEAK + LEARNS_VALUE)
#define LEAK_SUM (2 * NORMS)
#define VALUE_SUM (2 * NORMS + LEARNS_LEAK)

// Takes the gradient for the current of the macro-step after this one to its own; adds to the sums
// of the leak and the threshold or step.
__device__ inline void back(const Site &site, const Channels &of, int t, const float (*kept)[PACK],
                            const float (*emitted)[PACK], float *by_level, float *by_current,
                            float (*sums)[PACK]) {
#pragma unroll
    for (int k = 0; k < PACK; ++k) {
        const float u = kept[t][k], o = emitted[t][k];
#if NEURON == 0
        by_current[k] = u > 0.0f ? by_level[k] : 0.0f;
#elif NEURON == 1
        const bool inside = u > 0.0f && u < site.top;
        by_current[k] = inside ? by_level[k] : 0.0f;
#if LEARNS_VALUE
        sums[VALUE_SUM][k] += by_level[k] * (level_of(u, site.top) - (inside ? u : 0.0f));
#endif
#else
        const float theta = of.value[k], leak = of.leak;
        float by_u = by_current[k], by_theta = 0.0f;
        // Through the leak and the reset.
#if RESET == 0
#if FLOWING
#if SPIKE == 0
        const float up = 1.0f;
#elif SPIKE == 1
        const float up = o;
#else
        const float up = o <= 1.0f ? 1.0f : 0.0f;
#endif
        by_level[k] = by_level[k] + by_u * leak * (site.rest - u) * up;
#endif
        by_u = o == 0.0f ? by_u * leak : 0.0f;
#else
        by_u = by_u * leak;
#if RESET == 1 && FLOWING
        by_level[k] = by_level[k] - by_u * theta;
        by_theta = by_theta - by_u * o;
#endif
#endif
        // Through the level.
        const float g = by_level[k];
#if SPIKE == 0
        const float rise = derivative(site, u - theta);
        by_u = by_u + g * rise;
        by_theta = by_theta - g * rise;
#elif SPIKE == 1
#if SURROGATE == 7
        by_u = by_u + g;
#else
        const float up_rise = derivative(site, u - theta), down_rise = derivative(site, -u - theta);
        by_u = by_u + g * up_rise;
        by_theta = by_theta - g * up_rise;
        by_u = by_u + g * down_rise;
        by_theta = by_theta + g * down_rise;
#endif
#else
#if SURROGATE == 7
        const float ratio = u / theta;
        const float rise = ratio >= 0.0f && ratio <= site.top ? 1.0f / theta : 0.0f;
        by_u = by_u + g * rise;
        by_theta = by_theta - g * rise * ratio;
#else
        for (float place = 0.5f; place < site.top; place += 1.0f) {
            const float rise = derivative(site, u - theta * place);
            by_u = by_u + g * rise;
            by_theta = by_theta - g * rise * place;
        }
#endif
#endif
        by_current[k] = by_u;
#if LEARNS_LEAK
        const float before = t > 0 ? discharged(kept[t > 0 ? t - 1 : 0][k],
                                                emitted[t > 0 ? t - 1 : 0][k], theta, site.rest)
                                   : first_of(site, theta);
        sums[LEAK_SUM][k] += by_u * before;
#endif
#if SHARE
        // v₀ = v_r + share·(θ − v_r), and λ·(v₀ − v_r) is in u[1].
        if (t == 0) {
            by_theta = by_theta + by_u * leak * site.share;
        }
#endif
#if LEARNS_VALUE
        sums[VALUE_SUM][k] += by_theta;
#endif
#endif
    }
}

// Writes the sums of a block for each of its channels, those of its rows added in order:
// partial[sum][row of blocks][channel].
__device__ inline void write_sums(const Site &site, int channel, int sum, const double *own,
                                  double *room, double *partial) {
    const int width = blockDim.x * PACK;
    double *mine = room + threadIdx.y * width + threadIdx.x * PACK;
#pragma unroll
    for (int k = 0; k < PACK; ++k) {
        mine[k] = own[k];
    }
    __syncthreads();
    if (threadIdx.y == 0 && channel < site.channels) {
        for (int k = 0; k < PACK; ++k) {
            double total = 0.0;
            for (unsigned row = 0; row < blockDim.y; ++row) {
                total += room[row * width + threadIdx.x * PACK + k];
            }
            partial[((long long)sum * gridDim.y + blockIdx.y) * site.channels + channel + k] =
                total;
        }
    }
    __syncthreads();
}

// The gradient for the sum of the terms at every macro-step (`by_sum`), or where a term does not
// vary its sum over time (`by_static`); either may be null.
extern "C" __global__ void site_backward(Site site, const Store *by_emitted, Store *by_sum,
                                         Store *by_static, double *partial) {
    extern __shared__ double room[];
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    const bool inside = channel < site.channels;
    // Of a few hundred values each; what blocks have summed is added in double precision.
    float sums[SUMS > 0 ? SUMS : 1][PACK];
#pragma unroll
    for (int sum = 0; sum < SUMS; ++sum) {
#pragma unroll
        for (int k = 0; k < PACK; ++k) {
            sums[sum][k] = 0.0f;
        }
    }
    if (inside) {
        Channels of;
        know(site, channel, of);
        const long long neurons = site.positions * site.channels;
        for (long long p = first_position(); p < site.positions; p += positions_apart()) {
            const long long at = p * site.channels + channel;
            Fixed fixed;
            load_fixed(site, at, fixed);
            float state[PACK], kept[STEPS][PACK], emitted[STEPS][PACK];
            first_state(site, of, state);
#pragma unroll
            for (int t = 0; t < STEPS; ++t) {
                float current[PACK];
                current_of(site, of, fixed, t * neurons + at, current);
                step(site, of, current, state, kept[t], emitted[t]);
            }
            float by_current[PACK], over_time[PACK];
#pragma unroll
            for (int k = 0; k < PACK; ++k) {
                by_current[k] = over_time[k] = 0.0f;
            }
#pragma unroll
            for (int t = STEPS - 1; t >= 0; --t) {
                const long long here = t * neurons + at;
                float by_level[PACK];
                load(by_emitted + here, by_level);
                back(site, of, t, kept, emitted, by_level, by_current, sums);
                if (by_sum) {
                    store(by_sum + here, by_current);
                }
                int norm = 0;
#pragma unroll
                for (int term = 0; term < TERMS; ++term) {
                    if (is_normed(term)) {
                        if (!is_static(term)) {
                            float x[PACK];
                            load(site.terms[term] + here, x);
#pragma unroll
                            for (int k = 0; k < PACK; ++k) {
                                const float distance = x[k] - site.norms[term].mean[channel + k];
                                sums[2 * norm][k] += by_current[k];
                                sums[2 * norm + 1][k] += by_current[k] * distance;
                            }
                        }
                        ++norm;
                    }
                }
#pragma unroll
                for (int k = 0; k < PACK; ++k) {
                    over_time[k] += by_current[k];
                }
            }
            if (by_static) {
                store(by_static + at, over_time);
            }
            int norm = 0;
#pragma unroll
            for (int term = 0; term < TERMS; ++term) {
                if (is_normed(term)) {
                    if (is_static(term)) {
#pragma unroll
                        for (int k = 0; k < PACK; ++k) {
                            const float distance =
                                fixed.values[term][k] - site.norms[term].mean[channel + k];
                            sums[2 * norm][k] += over_time[k];
                            sums[2 * norm + 1][k] += over_time[k] * distance;
                        }
                    }
                    ++norm;
                }
            }
        }
    }
#pragma unroll
    for (int sum = 0; sum < SUMS; ++sum) {
        double own[PACK];
#pragma unroll
        for (int k = 0; k < PACK; ++k) {
            own[k] = sums[sum][k];
        }
        write_sums(site, channel, sum, own, room, partial);
    }
}

// Sums of the values of every term that stands behind a batch norm, and of their squares.
extern "C" __global__ void site_moments(Site site, double *partial) {
    extern __shared__ double room[];
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    const long long neurons = site.positions * site.channels;
    int norm = 0;
#pragma unroll
    for (int term = 0; term < TERMS; ++term) {
        if (!is_normed(term)) {
            continue;
        }
        double sums[2][PACK];
#pragma unroll
        for (int k = 0; k < PACK; ++k) {
            sums[0][k] = sums[1][k] = 0.0;
        }
        if (channel < site.channels) {
            const int steps = is_static(term) ? 1 : STEPS;
            for (long long p = first_position(); p < site.positions; p += positions_apart()) {
                for (int t = 0; t < steps; ++t) {
                    float x[PACK];
                    load(site.terms[term] + t * neurons + p * site.channels + channel, x);
#pragma unroll
                    for (int k = 0; k < PACK; ++k) {
                        const double wide = x[k];
                        sums[0][k] += wide;
                        sums[1][k] += wide * wide;
                    }
                }
            }
        }
        write_sums(site, channel, 2 * norm, sums[0], room, partial);
        write_sums(site, channel, 2 * norm + 1, sums[1], room, partial);
        ++norm;
    }
}

__device__ inline double over_rows(const double *partial, int sum, int rows, int channels,
                                   int channel) {
    double total = 0.0;
    for (int row = 0; row < rows; ++row) {
        total += partial[((long long)sum * rows + row) * channels + channel];
    }
    return total;
}

// A step of a running statistic, as libtorch's lerp rounds it.
__device__ inline float towards(float from, float to, float share) {
    return share < 0.5f ? from + share * (to - from) : to - (to - from) * (1.0f - share);
}

// The batch norms of a site from the sums of `rows` rows of blocks, one thread a channel; from the
// running statistics where there are no rows. `updates`: these are taken a step on.
extern "C" __global__ void site_norms(Site site, const double *partial, int rows, int updates) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= site.channels) {
        return;
    }
    int norm = 0;
#pragma unroll
    for (int term = 0; term < TERMS; ++term) {
        if (!is_normed(term)) {
            continue;
        }
        const Norm &of = site.norms[term];
        double mean, variance;
        if (rows > 0) {
            const double sum = over_rows(partial, 2 * norm, rows, site.channels, channel);
            const double squares = over_rows(partial, 2 * norm + 1, rows, site.channels, channel);
            mean = sum / of.count;
            variance = squares / of.count - mean * mean;
            variance = variance > 0.0 ? variance : 0.0;
            if (updates) {
                const float share = (float)of.momentum;
                const double unbiased = of.count / (of.count - 1.0);
                of.running_mean[channel] =
                    towards(of.running_mean[channel], (float)mean, share);
                of.running_variance[channel] =
                    towards(of.running_variance[channel], (float)(variance * unbiased), share);
            }
        } else {
            mean = of.running_mean[channel];
            variance = of.running_variance[channel];
        }
        const double inverse = 1.0 / sqrt(variance + of.eps);
        const double factor = of.weight ? of.weight[channel] * inverse : inverse;
        of.inverse[channel] = inverse;
        of.factor[channel] = (float)factor;
        of.summand[channel] = (float)(of.bias[channel] - factor * mean);
        of.mean[channel] = (float)mean;
        ++norm;
    }
}

// Gradients of parameters from the sums of a backward pass: one block.
extern "C" __global__ void site_gradients(Site site, const double *partial, int rows,
                                          float *by_leak, float *by_value, double value_scale,
                                          double *totals) {
    for (int channel = threadIdx.x; channel < site.channels; channel += blockDim.x) {
        int norm = 0;
#pragma unroll
        for (int term = 0; term < TERMS; ++term) {
            if (!is_normed(term)) {
                continue;
            }
            const Norm &of = site.norms[term];
            const double inverse = of.inverse[channel];
            const double sum = over_rows(partial, 2 * norm, rows, site.channels, channel);
            const double distance = over_rows(partial, 2 * norm + 1, rows, site.channels, channel);
            of.center[channel] = (float)(sum / of.count);
            of.slope[channel] = (float)(distance * inverse * inverse / of.count);
            of.by_bias[channel] = (float)sum;
            if (of.by_weight) {
                of.by_weight[channel] = (float)(distance * inverse);
            }
            ++norm;
        }
#if LEARNS_VALUE
        const double value = over_rows(partial, VALUE_SUM, rows, site.channels, channel);
        totals[site.channels + channel] = value;
#if PER_CHANNEL
        by_value[channel] = (float)(value * value_scale);
#endif
#endif
#if LEARNS_LEAK
        totals[channel] = over_rows(partial, LEAK_SUM, rows, site.channels, channel);
#endif
    }
    __syncthreads();
    if (threadIdx.x == 0) {
#if LEARNS_LEAK
        double leak = 0.0;
        for (int channel = 0; channel < site.channels; ++channel) {
            leak += totals[channel];
        }
        // λ = σ(a).
        const double factor = *site.learned_leak;
        *by_leak = (float)(leak * factor * (1.0 - factor));
#endif
#if LEARNS_VALUE && !PER_CHANNEL
        double value = 0.0;
        for (int channel = 0; channel < site.channels; ++channel) {
            value += totals[site.channels + channel];
        }
        *by_value = (float)(value * value_scale);
#endif
    }
}

// The gradients of the terms behind batch norms, from that of the sum.
extern "C" __global__ void site_through_norms(Site site, const Store *by_sum,
                                              const Store *by_static) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * PACK;
    if (channel >= site.channels) {
        return;
    }
    const long long neurons = site.positions * site.channels;
    for (long long p = first_position(); p < site.positions; p += positions_apart()) {
        const long long at = p * site.channels + channel;
#pragma unroll
        for (int is_for_static = 0; is_for_static < 2; ++is_for_static) {
            const Store *from = is_for_static ? by_static : by_sum;
            if (!from) {
                continue;
            }
            const int steps = is_for_static ? 1 : STEPS;
            for (int t = 0; t < steps; ++t) {
                const long long here = t * neurons + at;
                float gradient[PACK];
                load(from + here, gradient);
#pragma unroll
                for (int term = 0; term < TERMS; ++term) {
                    if (!is_normed(term) || is_static(term) != (bool)is_for_static) {
                        continue;
                    }
                    const Norm &of = site.norms[term];
                    float x[PACK], by_x[PACK];
                    load(site.terms[term] + here, x);
#pragma unroll
                    for (int k = 0; k < PACK; ++k) {
                        const int c = channel + k;
                        by_x[k] = of.factor[c] * (gradient[k] - of.center[c] -
                                                  (x[k] - of.mean[c]) * of.slope[c]);
                    }
                    store(of.by_term + here, by_x);
                }
            }
        }
    }
}

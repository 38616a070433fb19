/* snn.h: event-driven inference of spiking networks on the integer grid.
 *
 * Ownership: what a function hands out through `out` belongs to the caller until the `_free` of
 * its type, which takes NULL, too. A session does not need its model any more, nor a state its
 * session: they may be freed in any order. No pointer of the caller's is kept after a call.
 * Texts that are returned belong to the library: those of a model live as long as the model,
 * names of classes as long as the model or a session of it.
 *
 * Threads: a model may be used by several threads at once. A session, and a state, is used by
 * one thread at a time; it need not always be the same.
 *
 * Processes: a child of fork may use models and sessions that its parent made and used, as
 * Python's multiprocessing does: threads that work for them are made again in the child. A session
 * or a state that another thread of the parent used at the moment of the fork must not be used in
 * the child; a model may be.
 *
 * Errors: a function that returns snn_status changes nothing of the caller's if it fails, except
 * that `*out` becomes NULL. Null and misaligned pointers, lengths that do not fit and values out
 * of range are errors; freed handles, and arrays shorter than the length that comes with them,
 * are undefined behaviour, as with the functions of C. No Rust panic leaves the library.
 *
 * Pixels are bytes in C, H, W order, not normalised: a model subtracts its mean itself. Results
 * are integers, the sums of the head over macro-steps (of a head that does not sum: the last or the
 * largest scores), and equal on every machine; logits are these in floating point. */
#ifndef SNN_H
#define SNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a function returns. */
typedef int32_t snn_status;
#define SNN_OK 0
/* A pointer is null, or not aligned for what it points to. */
#define SNN_ERROR_POINTER 1
/* A length is not what the model takes. */
#define SNN_ERROR_SIZE 2
/* A value is outside its range. */
#define SNN_ERROR_VALUE 3
/* A file is missing, damaged, or no model on the grid; the machine cannot do what the options
 * ask for; a state is another model's. */
#define SNN_ERROR_MODEL 4
/* There is no result: nothing has run, or the last run failed. */
#define SNN_ERROR_ORDER 5
/* A fault of this library; the session that met it does not run any more. */
#define SNN_ERROR_PANIC 6

/* A model, compiled for this machine. */
typedef struct SnnModel SnnModel;
/* The buffers with which one thread at a time runs samples of a model. */
typedef struct SnnSession SnnSession;
/* What a network remembers between the frames of one stream. One session serves any number of
 * streams. */
typedef struct SnnState SnnState;

/* How a model is deployed. Zeros are defaults. */
typedef struct SnnOptions {
    /* Threads that work on one sample of a session, for latency; 0 is 1. More than 16 and than
     * four for each processor are refused. For many samples see snn_model_run_batch. */
    uint32_t threads;
    /* Instruction set: 0 for the best that is available, 1 scalar, 2 AVX2, 3 AVX-512, 4 AVX-512
     * with VNNI, 5 AMX. All give the same results. */
    int32_t instruction_set;
} SnnOptions;

/* One event of a camera. */
typedef struct SnnEvent {
    /* Time in microseconds. The library does not read it: the caller says which events make up a
     * frame. */
    int64_t t;
    /* Column from the left, row from the top. */
    uint16_t x;
    uint16_t y;
    /* 0 for OFF (darker), anything else for ON. */
    uint8_t polarity;
} SnnEvent;

/* A class with its probability. */
typedef struct SnnPrediction {
    /* Position of the class among the sums and logits. */
    size_t class_index;
    /* Name of the class; NULL if it has none. */
    const char *name;
    /* Softmax of the logits. */
    double probability;
} SnnPrediction;

/* What real values stand for: 0 to 1, as pictures of floating-point libraries, or 0 to 255. */
#define SNN_SCALE_UNIT 0
#define SNN_SCALE_PIXEL 1

/* The version of the library, as "1.2.3". */
const char *snn_version(void);

/* The text of the last error on this thread, good until the next one on it; "" before the first.
 * A success leaves it as it is. */
const char *snn_last_error(void);

/* Reads a model file (path in UTF-8). `options` may be NULL. */
snn_status snn_model_load(const char *path, const SnnOptions *options, SnnModel **out);

/* Reads a model file that is in memory. */
snn_status snn_model_from_bytes(
    const uint8_t *bytes, size_t length, const SnnOptions *options, SnnModel **out);

void snn_model_free(SnnModel *model);

/* Bytes of one image; 0 if model is NULL. */
size_t snn_model_input_size(const SnnModel *model);

/* The number of dimensions of an image (1 to 3); writes the first `length` of them to `shape`,
 * which may be NULL if length is 0. 0 is an error. */
size_t snn_model_input_shape(const SnnModel *model, size_t *shape, size_t length);

/* Macro-steps T; 0 if model is NULL. */
size_t snn_model_time_steps(const SnnModel *model);

/* The number of classes; 0 if model is NULL. */
size_t snn_model_classes(const SnnModel *model);

/* The name of a class; NULL if it has none, or there is no such class. */
const char *snn_model_class_name(const SnnModel *model, size_t class_index);

/* The instruction set in use: "scalar", "avx2", "avx512", "avx512vnni" or "amx"; NULL if model is
 * NULL. */
const char *snn_model_instruction_set(const SnnModel *model);

/* What is done with each layer, in lines of text; NULL if model is NULL. */
const char *snn_model_summary(const SnnModel *model);

/* Runs one image; `best` receives its best class: the largest sum, the first of equals. For many
 * images take a session. */
snn_status snn_model_classify(
    const SnnModel *model, const uint8_t *pixels, size_t length, SnnPrediction *best);

/* Runs `count` images, `length` bytes in all, in parallel on as many threads as the machine has
 * cores (or as RAYON_NUM_THREADS says). `sums` and `logits` have room for `values` = count x
 * classes; one of them may be NULL. */
snn_status snn_model_run_batch(
    const SnnModel *model, const uint8_t *pixels, size_t length, size_t count, int64_t *sums,
    double *logits, size_t values);

/* Makes the buffers of a session; running allocates nothing afterwards with one thread and
 * pixels as input. */
snn_status snn_session_new(const SnnModel *model, SnnSession **out);

void snn_session_free(SnnSession *session);

/* Memory of its buffers; 0 if session is NULL. */
size_t snn_session_bytes(const SnnSession *session);

/* Runs one image, shown at every macro-step; where the model file has an encoder, the image is
 * encoded first. */
snn_status snn_session_run(SnnSession *session, const uint8_t *pixels, size_t length);

/* Runs one sample with a frame for each macro-step, T images one after another. They are what the
 * network reads: encoded already, if the model file has an encoder. */
snn_status snn_session_run_frames(SnnSession *session, const uint8_t *pixels, size_t length);

/* Runs one image of real values, each rounded to the nearest pixel; NaN and values outside the
 * scale are errors. */
snn_status snn_session_run_real(
    SnnSession *session, const float *values, size_t length, int32_t scale);

/* Runs one recording of `count` events, cut into T slices: slice i ends before event ends[i],
 * and ends[slices - 1] is count. The events of a slice are counted by polarity and pixel (at
 * most 255), for a model with an input of [2, height, width] (OFF, ON). */
snn_status snn_session_run_events(
    SnnSession *session, const SnnEvent *events, size_t count, const size_t *ends, size_t slices);

/* Runs one image until, after t macro-steps, the largest sum exceeds the second by at least
 * margin * t, or T have run. `steps` receives how many did; it may be NULL. */
snn_status snn_session_run_until(
    SnnSession *session, const uint8_t *pixels, size_t length, int64_t margin, size_t *steps);

/* One macro-step of a stream, of any length. The results of the session are then those of the
 * stream so far. */
snn_status snn_session_push(
    SnnSession *session, SnnState *state, const uint8_t *pixels, size_t length);

/* As snn_session_push, of real values, see snn_session_run_real. */
snn_status snn_session_push_real(
    SnnSession *session, SnnState *state, const float *values, size_t length, int32_t scale);

/* As snn_session_push, of the events since the last push, counted as in snn_session_run_events;
 * `events` may be NULL if count is 0. */
snn_status snn_session_push_events(
    SnnSession *session, SnnState *state, const SnnEvent *events, size_t count);

/* The class of the last run or push: the position of the largest sum, the first of equals. */
snn_status snn_session_class(const SnnSession *session, size_t *class_index);

/* The sums of the last run or push; `length` is the number of classes. */
snn_status snn_session_sums(const SnnSession *session, int64_t *sums, size_t length);

/* The same as logits: the mean over the macro-steps that ran, or what else the head reads out. */
snn_status snn_session_logits(const SnnSession *session, double *logits, size_t length);

/* Softmax of the logits of the last run or push; `length` is the number of classes. */
snn_status snn_session_probabilities(
    const SnnSession *session, double *probabilities, size_t length);

/* The `count` best classes of the last run or push, the best first; of equal sums the first
 * class first. `count` above the number of classes is SNN_ERROR_SIZE. */
snn_status snn_session_best(const SnnSession *session, SnnPrediction *best, size_t count);

/* The state of a network that has seen nothing. */
snn_status snn_state_new(const SnnSession *session, SnnState **out);

/* The same state once more, to go back to. */
snn_status snn_state_copy(const SnnState *state, SnnState **out);

/* Back to rest, for the next stream. */
snn_status snn_state_reset(SnnState *state);

/* Frames so far; 0 if state is NULL. */
uint64_t snn_state_steps(const SnnState *state);

void snn_state_free(SnnState *state);

#ifdef __cplusplus
}
#endif

#endif

/* snn_edge.h: inference of spiking networks on small devices, without allocation.
 *
 * A program is the compiled network: bytes that may lie in flash and need no alignment. An engine
 * is a program with a buffer of the caller's, and all memory that is written to is in these two.
 * Program and buffer must stay as they are, and where they are, while the engine is used; the
 * engine itself may be moved, not copied. An engine is used by one thread at a time. Nothing is to
 * be freed.
 *
 * Functions return SNN_EDGE_OK or why they failed, and then fill `error`, which may be NULL. Null
 * and misaligned pointers, lengths that do not fit and damaged programs are errors; arrays shorter
 * than the length that comes with them are undefined behaviour, as with the functions of C. */
#ifndef SNN_EDGE_H
#define SNN_EDGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Status of a call. */
#define SNN_EDGE_OK 0
/* A pointer is null or not aligned, or the engine is not one that snn_edge_init has made. */
#define SNN_EDGE_ERROR_POINTER 1
/* The bytes are no program, or a damaged one. */
#define SNN_EDGE_ERROR_PROGRAM 2
/* The buffer is too small, or the number of scores is not that of the classes. */
#define SNN_EDGE_ERROR_BUFFER 3
/* The number of pixels is another one. */
#define SNN_EDGE_ERROR_INPUT 4
/* The mode of the engine does not have this call. */
#define SNN_EDGE_ERROR_MODE 5

/* Mode of an engine: images, shown at every macro-step; T frames a sample; or frames of a stream,
 * one at a time. */
#define SNN_EDGE_IMAGE 0
#define SNN_EDGE_FRAMES 1
#define SNN_EDGE_STREAM 2

/* An engine. Set it to zeros before snn_edge_init, so that its use before is found. */
typedef struct SnnEdge {
    uint64_t opaque[32];
} SnnEdge;

/* What a program takes and needs. */
typedef struct SnnEdgeInfo {
    /* Channels, height, width of an image or frame, and their product: its bytes. */
    size_t input_shape[3];
    size_t input_size;
    size_t classes;
    /* Macro-steps T. */
    size_t time_steps;
    /* Bytes of the program. */
    size_t flash;
    /* Words of the buffer, for each mode. */
    size_t memory[3];
    /* Value of one unit of a score; where the head is a mean, times T. */
    double logit_unit;
} SnnEdgeInfo;

/* Relation of what was expected to what was found. */
#define SNN_EDGE_EXACTLY 0
#define SNN_EDGE_AT_MOST 1
#define SNN_EDGE_AT_LEAST 2
/* What was expected is said by `text`. */
#define SNN_EDGE_TEXT 3

/* Why a call failed. Texts belong to the library and do not end with a zero byte:
 * printf("%.*s", (int)error.what_length, error.what). */
typedef struct SnnEdgeError {
    uint64_t expected;
    uint64_t found;
    /* The quantity that does not fit. */
    const char *what;
    size_t what_length;
    const char *text;
    size_t text_length;
    int32_t status;
    /* Number of the stage of the program, or -1. */
    int32_t stage;
    int32_t relation;
} SnnEdgeError;

/* Checks a program and says what it takes and needs. */
int32_t snn_edge_info(const uint8_t *program, size_t bytes, SnnEdgeInfo *info,
                      SnnEdgeError *error);

/* Makes an engine in a buffer of at least info.memory[mode] words, which may hold anything. */
int32_t snn_edge_init(SnnEdge *engine, const uint8_t *program, size_t bytes, int32_t mode,
                      int32_t *buffer, size_t words, SnnEdgeError *error);

/* Runs one sample: an image of info.input_size bytes in C, H, W order, not normalised, or T frames
 * one after another. Fills the scores of all classes, the sums of the head over macro-steps (of a
 * head that does not sum: the last or the largest scores). */
int32_t snn_edge_run(SnnEdge *engine, const uint8_t *pixels, size_t size, int64_t *scores,
                     size_t classes, SnnEdgeError *error);

/* Runs the next frame of a stream. The scores are those of all frames since the last reset. */
int32_t snn_edge_step(SnnEdge *engine, const uint8_t *frame, size_t size, int64_t *scores,
                      size_t classes, SnnEdgeError *error);

/* Puts all neurons at rest, so that the next frame is the first one of a stream. */
int32_t snn_edge_reset(SnnEdge *engine, SnnEdgeError *error);

#ifdef __cplusplus
}
#endif

#endif

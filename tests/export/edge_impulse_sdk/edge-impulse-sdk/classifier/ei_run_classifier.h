/* A stand-in for the entry points of Edge Impulse's SDK that the packed sources call, for compiling them without it.
 * Features and scores come from the files features.bin and scores.bin, float32; what the front end is asked for is
 * printed. NAMED_AXES gives the structs the two fields that later projects have. Written from the public interface. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <functional>

#define EIDSP_OK 0
#define EIDSP_MATRIX_SIZE_MISMATCH -1002
#define AXES uint32_t block_id; uint16_t implementation_version; int axes;
#ifdef NAMED_AXES
typedef struct { const char *name; int axis; } ei_dsp_named_axis_t;
#define NAMED ei_dsp_named_axis_t *named_axes; size_t named_axes_size;
#else
#define NAMED
#endif

typedef struct {
    AXES NAMED
    int num_cepstral; float frame_length; float frame_stride; int num_filters; int fft_length; int win_size;
    int low_frequency; int high_frequency; float pre_cof; int pre_shift;
} ei_dsp_config_mfcc_t;

typedef struct {
    AXES NAMED
    float frame_length; float frame_stride; int num_filters; int fft_length; int low_frequency; int high_frequency;
    int win_size; int noise_floor_db;
} ei_dsp_config_mfe_t;

namespace ei {
typedef struct ei_matrix {
    float *buffer;
    uint32_t rows;
    uint32_t cols;
    ei_matrix(uint32_t rows, uint32_t cols) : buffer((float *)calloc(rows * cols, 4)), rows(rows), cols(cols) {}
    ~ei_matrix() { free(buffer); }
} matrix_t;

typedef struct {
    std::function<int(size_t, size_t, float *)> get_data;
    size_t total_length;
} signal_t;

namespace numpy {
static inline int int16_to_float(const int16_t *in, float *out, size_t length) {
    for (size_t i = 0; i < length; i++) out[i] = in[i];
    return EIDSP_OK;
}

static inline int signal_from_buffer(const float *data, size_t size, signal_t *signal) {
    signal->total_length = size;
    signal->get_data = [data](size_t offset, size_t length, float *out) {
        for (size_t i = 0; i < length; i++) out[i] = data[offset + i];
        return EIDSP_OK;
    };
    return EIDSP_OK;
}
}  // namespace numpy
}  // namespace ei

static inline int stand_in_features(ei::signal_t *signal, ei::matrix_t *out, float frequency) {
    float first = 0.0f;
    signal->get_data(1, 1, &first);
    printf("samples=%d second=%g frequency=%g\n", (int)signal->total_length, first, frequency);
    FILE *file = fopen("features.bin", "rb");
    size_t got = fread(out->buffer, 4, out->rows * out->cols, file);
    fclose(file);
    return got == out->rows * out->cols ? EIDSP_OK : EIDSP_MATRIX_SIZE_MISMATCH;
}

__attribute__((unused)) static int extract_mfcc_features(ei::signal_t *signal, ei::matrix_t *out, void *given,
                                                         const float frequency) {
    ei_dsp_config_mfcc_t c = *(ei_dsp_config_mfcc_t *)given;
    printf("mfcc %d %d %d %g %g %d %d %d %d %d %g %d\n", c.implementation_version, c.axes, c.num_cepstral,
           c.frame_length, c.frame_stride, c.num_filters, c.fft_length, c.win_size, c.low_frequency, c.high_frequency,
           c.pre_cof, c.pre_shift);
    return stand_in_features(signal, out, frequency);
}

__attribute__((unused)) static int extract_mfe_features(ei::signal_t *signal, ei::matrix_t *out, void *given,
                                                        const float frequency) {
    ei_dsp_config_mfe_t c = *(ei_dsp_config_mfe_t *)given;
    printf("mfe %d %d %g %g %d %d %d %d %d %d\n", c.implementation_version, c.axes, c.frame_length, c.frame_stride,
           c.num_filters, c.fft_length, c.low_frequency, c.high_frequency, c.win_size, c.noise_floor_db);
    return stand_in_features(signal, out, frequency);
}

typedef enum { EI_IMPULSE_OK = 0 } EI_IMPULSE_ERROR;
typedef struct { const char *label; float value; } ei_impulse_result_classification_t;
typedef struct { ei_impulse_result_classification_t classification[4]; } ei_impulse_result_t;

__attribute__((unused)) static EI_IMPULSE_ERROR run_classifier(ei::signal_t *, ei_impulse_result_t *result, bool) {
    static FILE *file = fopen("scores.bin", "rb");
    static const char *labels[] = {"word0", "word1", "word2", "word3"};
    for (size_t i = 0; i < 4; i++) {
        result->classification[i].label = labels[i];
        if (fread(&result->classification[i].value, 4, 1, file) != 1) exit(3);
    }
    return EI_IMPULSE_OK;
}

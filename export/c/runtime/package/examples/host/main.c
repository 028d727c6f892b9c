/* Detections in a recording, on a desk: the same code as on the device.
 *
 *     kws_host recording.wav          a WAV file: mono, 16-bit PCM, KWS_FRONTEND_SAMPLE_RATE
 *     kws_host recording.raw          anything else is raw 16-bit little-endian samples
 *     arecord -t raw -f S16_LE -r 16000 | kws_host     or from standard input
 *
 * Prints a line for each detection: the second at which it ended, the label, the smoothed posterior. CMake builds it;
 * so does  cc -std=c99 -O2 -I../.. main.c ../../kws_*.c -lm -o kws_host
 */
#include <stdio.h>
#include <string.h>

#include "kws_detector.h"

#define BYTES_UNLIMITED UINT32_MAX

static kws_detector detector;

static uint32_t little_endian(const uint8_t *bytes, int count)
{
    uint32_t value = 0;

    while (count-- > 0) {
        value = value << 8 | bytes[count];
    }
    return value;
}

/* Reads up to the samples of a WAV file whose first 12 bytes were read already. Returns their bytes, 0 on an error that
 * it has printed. */
static uint32_t open_wav(FILE *file)
{
    uint8_t chunk[8], format[16];
    int known = 0;

    while (fread(chunk, 1, sizeof chunk, file) == sizeof chunk) {
        uint32_t size = little_endian(chunk + 4, 4);
        uint32_t skip = size + (size & 1u); /* chunks are padded to even lengths */

        if (memcmp(chunk, "data", 4) == 0) {
            if (!known) {
                fprintf(stderr, "the WAV file has samples before their format\n");
                return 0;
            }
            return size == 0 ? BYTES_UNLIMITED : size; /* a recorder that writes to a pipe does not know its size */
        }
        if (memcmp(chunk, "fmt ", 4) == 0 && size >= sizeof format) {
            uint32_t tag, channels, rate, bits;

            if (fread(format, 1, sizeof format, file) != sizeof format) {
                break;
            }
            skip -= (uint32_t)sizeof format;
            tag = little_endian(format, 2); /* 1: PCM; 0xfffe: extensible, PCM as well when it has 16 bits */
            channels = little_endian(format + 2, 2);
            rate = little_endian(format + 4, 4);
            bits = little_endian(format + 14, 2);
            if ((tag != 1 && tag != 0xfffe) || channels != 1 || rate != KWS_FRONTEND_SAMPLE_RATE || bits != 16) {
                fprintf(stderr, "expected mono 16-bit PCM at %d Hz; got format %u, %u channels, %u bits at %u Hz\n",
                        KWS_FRONTEND_SAMPLE_RATE, (unsigned)tag, (unsigned)channels, (unsigned)bits, (unsigned)rate);
                return 0;
            }
            known = 1;
        }
        for (; skip > 0; skip--) {
            if (fgetc(file) == EOF) {
                break;
            }
        }
    }
    fprintf(stderr, "the WAV file ends before its samples\n");
    return 0;
}

static void print(const kws_detection *detection)
{
    double end = (double)detection->frame * KWS_FRONTEND_FRAME_STRIDE + KWS_FRONTEND_FRAME_LENGTH;

    printf("%.2f %s %.2f\n", end / KWS_FRONTEND_SAMPLE_RATE, kws_model_labels[detection->label],
           detection->score / 256.0);
    fflush(stdout);
}

/* Push all of `bytes`, an even number of them. */
static void push(const uint8_t *bytes, size_t count)
{
    int16_t samples[512];
    const int16_t *next = samples;
    kws_detection detection;
    size_t i, left, used;

    for (i = 0; i < count / 2; i++) {
        samples[i] = (int16_t)(uint16_t)little_endian(bytes + 2 * i, 2);
    }
    for (left = count / 2; left > 0; left -= used, next += used) {
        if (kws_detector_push_some(&detector, next, left, &used, &detection)) {
            print(&detection);
        }
    }
}

int main(int count, char **arguments)
{
    FILE *file = stdin;
    uint8_t bytes[1024];
    uint32_t left = BYTES_UNLIMITED;
    size_t held;

    if (count > 2) {
        fprintf(stderr, "usage: %s [recording.wav | recording.raw]\n", arguments[0]);
        return 2;
    }
    if (count == 2) {
        file = fopen(arguments[1], "rb");
        if (file == NULL) {
            fprintf(stderr, "cannot open %s\n", arguments[1]);
            return 1;
        }
    }
    kws_detector_reset(&detector);
    held = fread(bytes, 1, 12, file);
    if (held == 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WAVE", 4) == 0) {
        left = open_wav(file);
        if (left == 0) {
            return 1;
        }
        held = 0;
    }
    for (;;) {
        size_t room = sizeof bytes - held;
        size_t read = fread(bytes + held, 1, left < room ? left : room, file);

        if (left != BYTES_UNLIMITED) {
            left -= (uint32_t)read;
        }
        held += read;
        push(bytes, held & ~(size_t)1);
        bytes[0] = held & 1u ? bytes[held - 1] : 0; /* half a sample waits for its other half */
        held &= 1u;
        if (read == 0) {
            break;
        }
    }
    if (file != stdin) {
        fclose(file);
    }
    return 0;
}

/* What the parts of the benchmark's firmware share. */
#ifndef KWS_BENCH_H
#define KWS_BENCH_H

#include <stddef.h>
#include <stdint.h>

/* The platform: emulator.c, or board.c and what the board's owner adds. */
void kws_bench_clock_start(void);
uint32_t kws_bench_clock(void); /* ticks; counts up and wraps at 32 bits */
void kws_board_putc(char c);    /* one character of the report */

/* call.S */
void kws_bench_call(void (*function)(void), void *a, const void *b, const void *c);
void kws_bench_loop(uint32_t n);

/* stamps.c */
void kws_bench_stamp(int kind, int index); /* after an operator (kind 0) or a stage (kind 1) */
void kws_bench_tally(int on);                 /* whether stamps count by operator and stage; they do at first */
void kws_bench_begin(void);
void kws_bench_end(const char *name);
void kws_bench_stack(const char *name, uint32_t bytes);
void kws_bench_report_begin(const char *unit, uint32_t hz);
void kws_bench_report_number(const char *name, uint32_t value);
void kws_bench_report_end(void);

/* stack.c */
void kws_bench_painting(int on);
void kws_bench_paint(void);
uint32_t kws_bench_painted_over(void); /* bytes used below the caller since kws_bench_paint; 0 where none is painted */

/* stream.c */
void kws_bench_detector_frame(const int16_t *samples);

/* measure.c: KWS_BENCH_MODEL, KWS_BENCH_FRONTEND and KWS_BENCH_DETECTOR say what there is to measure */
void kws_bench_measured(const char *name, void (*function)(void), void *a, const void *b, const void *c);
void kws_bench_clip(const int8_t *in, int8_t *out);              /* one inference */
void kws_bench_frontend_reset(void);
void kws_bench_frame(const int16_t *samples);                    /* KWS_FRONTEND_FRAME_STRIDE of them */
void kws_bench_decision_features(void);                          /* CMVN and quantisation of the window, where it is full */
void kws_bench_describe(void); /* numbers for the report that only a compiler knows */

#endif

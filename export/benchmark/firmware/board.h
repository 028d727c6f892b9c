/* The benchmark on a board. From main, once clocks and the serial port are up:

       kws_bench_run(SystemCoreClock);

   prints one line of JSON through kws_board_putc, which the board's owner writes. */
#ifndef KWS_BOARD_H
#define KWS_BOARD_H

#include <stdint.h>

void kws_bench_run(uint32_t core_clock_hz);
void kws_board_putc(char c); /* yours: one character to the serial port, waiting while it is busy */

#endif

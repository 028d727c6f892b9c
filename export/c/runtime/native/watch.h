/* Included before the model's file: hands every operator's output on. */
#ifndef KWS_WATCH_H
#define KWS_WATCH_H
#define KWS_WATCHED_BYTES 1
void kws_watch(const void *data, unsigned bytes);
#define KWS_AFTER_OPERATOR(index, data, bytes) kws_watch((data), (bytes))
#endif

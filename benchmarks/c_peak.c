/* The floor: independent multiply-adds in registers, nothing loaded; 12 chains hide the latency. Each width is
   tried, so that a machine whose widest registers are no faster shows it. Returns the multiply-adds done. */
#define PEAK(name, bytes)                                                             \
    long name(long rounds, float *sink)                                               \
    {                                                                                 \
        typedef float vector __attribute__((vector_size(bytes)));                     \
        vector a[12], scale, shift;                                                   \
        for (int k = 0; k < bytes / 4; k++) scale[k] = 0.999f, shift[k] = 0.001f;     \
        for (int i = 0; i < 12; i++) a[i] = shift * (float)i;                         \
        for (long r = 0; r < rounds; r++)                                             \
            for (int i = 0; i < 12; i++) a[i] = a[i] * scale + shift;                 \
        for (int i = 1; i < 12; i++) a[0] += a[i];                                    \
        *sink = a[0][0];                                                              \
        return rounds * 12 * bytes / 4;                                               \
    }

PEAK(peak_16, 16)
PEAK(peak_32, 32)
PEAK(peak_64, 64)

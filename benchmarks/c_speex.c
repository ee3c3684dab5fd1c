/* SpeexDSP's echo canceller, alone, over a signal in whole frames: gcc ... c_speex.c -lspeexdsp */

#include <speex/speex_echo.h>

void *make(int frame, int taps, int rate)
{
    SpeexEchoState *state = speex_echo_state_init(frame, taps);
    speex_echo_ctl(state, SPEEX_ECHO_SET_SAMPLING_RATE, &rate);
    return state;
}

void run(void *state, const short *microphone, const short *far, short *out, int samples, int frame)
{
    for (int n = 0; n + frame <= samples; n += frame)
        speex_echo_cancellation(state, microphone + n, far + n, out + n);
}

/* liquid-dsp's equalisers over a block: w starts at zero and comes back newest first. */
#include <complex.h>
#include <liquid/liquid.h>
#include <string.h>

void liquid_nlms(float *x, float *d, float *e, float *w, int samples, int taps, float mu)
{
    memset(w, 0, taps * sizeof(float));
    eqlms_rrrf q = eqlms_rrrf_create(w, taps);
    eqlms_rrrf_set_bw(q, mu);
    for (int n = 0; n < samples; n++) {
        float y;
        eqlms_rrrf_push(q, x[n]);
        eqlms_rrrf_execute(q, &y);
        eqlms_rrrf_step(q, d[n], y);
        e[n] = d[n] - y;
    }
    eqlms_rrrf_copy_coefficients(q, w);
    eqlms_rrrf_destroy(q);
}

void liquid_rls(float *x, float *d, float *e, float *w, int samples, int taps, float lam)
{
    memset(w, 0, taps * sizeof(float));
    eqrls_rrrf q = eqrls_rrrf_create(w, taps);
    eqrls_rrrf_set_bw(q, lam);
    for (int n = 0; n < samples; n++) {
        float y;
        eqrls_rrrf_push(q, x[n]);
        eqrls_rrrf_execute(q, &y);
        eqrls_rrrf_step(q, d[n], y);
        e[n] = d[n] - y;
    }
    eqrls_rrrf_get_weights(q, w);
    eqrls_rrrf_destroy(q);
}

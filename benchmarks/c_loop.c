/* LMS and NLMS as one writes them by hand: w is kept oldest first, so both passes run forward over x.
   x holds taps - 1 past samples before the block. */

void lms(const float *x, const float *d, float *e, float *w, int samples, int taps, float mu)
{
    for (int n = 0; n < samples; n++) {
        const float *u = x + n;
        float y = 0;
        for (int k = 0; k < taps; k++) y += w[k] * u[k];
        e[n] = d[n] - y;
        const float g = mu * e[n];
        for (int k = 0; k < taps; k++) w[k] += g * u[k];
    }
}

void nlms(const float *x, const float *d, float *e, float *w, int samples, int taps, float mu, float eps)
{
    float energy = 0;
    for (int k = 0; k < taps - 1; k++) energy += x[k] * x[k];
    for (int n = 0; n < samples; n++) {
        const float *u = x + n;
        float y = 0;
        for (int k = 0; k < taps; k++) y += w[k] * u[k];
        energy += u[taps - 1] * u[taps - 1];
        e[n] = d[n] - y;
        const float g = mu * e[n] / (eps + energy);
        for (int k = 0; k < taps; k++) w[k] += g * u[k];
        energy -= u[0] * u[0];
    }
}

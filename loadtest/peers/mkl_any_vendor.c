/* Loaded before PyTorch (LD_PRELOAD), whose fp32 matrix products are MKL's. MKL asks this function of its own
   whether it runs on an Intel processor, and takes slow kernels where it does not, whatever the processor can
   do: 0.21 TFLOP/s instead of 0.48 for 128 x 768 x 3072 on two Zen 5 cores. A fair comparison needs its best. */
int mkl_serv_intel_cpu_true(void);

int mkl_serv_intel_cpu_true(void) { return 1; }

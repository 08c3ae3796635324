# Sources of the backend, for the module and for the tests that run it on the host.
set(earshot_cuda_sources
  attention.cu backend.cu choose.cu conv.cu draw.cu elementwise.cu embed.cu geometry.c linear.cu
  linear_few.cu norm.cu rope.cu rwkv7.cu step.cu upload.cu weight.cu)

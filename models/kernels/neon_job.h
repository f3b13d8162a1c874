/* neon_job.h - entry points of the NEON kernel set: no instructions of that set. */
#ifndef KERNELS_NEON_JOB_H
#define KERNELS_NEON_JOB_H

#include "kernels/panel_job.h"

panel_kernel_find neon_panel_kernel;

#endif

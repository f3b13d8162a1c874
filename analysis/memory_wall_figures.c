#include "memory_wall.h"
const struct report_figure wall_figures[] = {{0}};

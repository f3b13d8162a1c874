/* cmd.h - for the generated table of subcommands (cmd/ holds one file each). */
#include "dist/app.h"

/* version.c: compiled anew when the revision changes, and alone in that. */
#include "gateway/version.h"

const char version_number[] = TOLLGATE_VERSION;
const char version_revision[] = TOLLGATE_REVISION;

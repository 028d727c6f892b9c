#include "kws_frontend_internal.h"

// libmicrohttpd, for the gateway alone. Its options are variadic: each combination that is used is a function here.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <microhttpd.h>

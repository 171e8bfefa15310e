#include "message.hpp"

#include "CJSONSchema.h"

#include <algorithm>
#include <cstring>

namespace {
thread_local char last[512];
}

void set_message(std::string_view message) noexcept
{
    const size_t count = std::min(message.size(), sizeof last - 1);
    std::memcpy(last, message.data(), count);
    last[count] = '\0';
}

extern "C" const char *cjs_message(void) { return last; }

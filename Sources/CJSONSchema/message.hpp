#pragma once

#include <string_view>

/// Keeps what cjs_message() returns on this thread, cut to a few hundred bytes.
void set_message(std::string_view message) noexcept;

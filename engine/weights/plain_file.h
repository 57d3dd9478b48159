// Names of files that a checkpoint's own files mention, and whether they are there.
#pragma once

#include <string>

namespace reprise::engine::weights {

// True for the name of an entry of the directory itself: not empty, no separator, not "." or "..".
// A name from a file must pass this before it becomes part of a path.
bool IsPlainFileName(const std::string& name);

// False also for a path that cannot be looked at; opening it then says why.
bool FileExists(const std::string& path);

}  // namespace reprise::engine::weights

// How many processors this process may run on.
#pragma once

namespace reprise::engine::device {

// At least 1. Fewer than the machine has where the process is confined, as in a container.
int UsableCores();

}  // namespace reprise::engine::device

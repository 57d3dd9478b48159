// Every metric the server exports, as constants made from metrics.json at build time.
//
// kRequestsTotal is reprise_requests_total, and so on; kCatalogue lists them all in file order.
#pragma once

#include "server/metrics/metric_definition.h"

namespace reprise::server::metrics::catalogue {

#include "server/metrics/metric_catalogue.inc"

}  // namespace reprise::server::metrics::catalogue

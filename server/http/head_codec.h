// Heads of messages between Boost.Beast and our own structs.
#pragma once

#include <string>

#include "boost/beast/http/parser.hpp"
#include "server/http/growing_body.h"
#include "server/http/request_head.h"
#include "server/http/response.h"

namespace reprise::server::http {

using RequestParser = boost::beast::http::request_parser<GrowingBody>;

// Requires: the parser is done with the head. `client_key_header` names the header that says who
// the caller is; empty: none does.
RequestHead HeadOf(const RequestParser& parser, const std::string& client_key_header);

// The head of `response`, up to and with the empty line.
std::string HeadText(const Response& response, bool keep_alive, bool is_http_1_0);

}  // namespace reprise::server::http

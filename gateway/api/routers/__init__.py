"""One router per noun; each function reads the request, calls one service and returns its answer."""

#!/usr/bin/env python3
"""A chat endpoint that gives up: answers BUDGET requests with a verdict that hangs on their bytes alone, then ends in
the middle of the next one.

usage: dying_judge.py PORT-FILE BUDGET"""
import http.server
import json
import os
import pathlib
import sys

port_file, budget = pathlib.Path(sys.argv[1]), int(sys.argv[2])


class Judge(http.server.BaseHTTPRequestHandler):
    n = 0

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Judge.n += 1
        if Judge.n > budget:
            os._exit(0)
        word = "first" if sum(i * b for i, b in enumerate(body)) // 7 % 2 else "second"
        reply = {"choices": [{"message": {"content": f"The better response: [{word}]."}, "finish_reason": "stop"}],
                 "usage": {"prompt_tokens": 9, "completion_tokens": 5}}
        text = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


server = http.server.HTTPServer(("127.0.0.1", 0), Judge)
port_file.with_suffix(".new").write_text(str(server.server_port))
port_file.with_suffix(".new").rename(port_file)
server.serve_forever()

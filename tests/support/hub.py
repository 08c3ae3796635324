"""Hugging Face's hub, as far as earshot model asks it: the list of a repository's files, and the files, behind a redirect as the
real one gives large ones. What it does wrong, and how often, is set by the test."""
import hashlib
import http.server
import json
import re
import threading


def entry(name, data):
    """A file as the list has it: large ones by SHA-256, small ones by git's name."""
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    found = {"type": "file", "path": name, "size": len(data), "oid": git}
    if name.endswith((".pth", ".gguf")):
        found["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return found


class Hub(http.server.ThreadingHTTPServer):
    """repositories: {name: {file: bytes}}. faults: what the next answers to requests of a file do: "cut" (half of the rest, then the
    connection ends), "flip" (a byte is another), "503", "404", "403", "stall" (half of it, then nothing); "whole" stands for all to come:
    ranges are not known."""

    daemon_threads = True

    def __init__(self, repositories, host="127.0.0.1"):
        super().__init__((host, 0), Handler)
        self.tag, self.leads = "", ""  # the name of the files' version; where a redirect leads ("": to the file)
        self.repositories, self.faults, self.requests, self.whole = repositories, [], [], False
        self.gone = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.address = f"http://{host}:{self.server_port}"

    def handle_error(self, *_):
        pass  # a client that went away

    def ranges(self):
        """Where each request of a file began."""
        return [begin for _, begin in self.requests]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        listed = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/tree/main", self.path)
        named = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/main/([\w.-]+)", self.path)
        stored = re.fullmatch(r"/store/([\w.-]+/[\w.-]+)/([\w.-]+)", self.path)
        files = self.server.repositories.get((listed or named or stored or [None, None])[1])
        if files is None or (not listed and (named or stored)[2] not in files):
            self.send_error(404)
        elif listed:
            self.answer(200, json.dumps([entry(*item) for item in files.items()] + [{"type": "directory", "path": "more"}]).encode())
        elif named:
            self.send_response(302)
            self.send_header("Location", self.path if self.server.leads == "LOOP" else self.server.leads or f"/store/{named[1]}/{named[2]}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.give(stored[2], files[stored[2]])

    def answer(self, status, data, headers=(), told=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if told is None else told))
        self.end_headers()
        self.wfile.write(data)

    def give(self, name, data):
        begin = int(re.match(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
        self.server.requests.append((name, begin))
        fault = self.server.faults.pop(0) if self.server.faults else ""
        if fault.isdigit():
            return self.send_error(int(fault))
        if self.server.whole or self.headers.get("If-Range", self.server.tag) != self.server.tag:
            begin = 0
        if begin >= len(data):
            return self.send_error(416)
        rest = bytearray(data[begin:])
        if fault == "flip":
            rest[len(rest) // 2] ^= 1
        headers = [("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")] if begin else []
        headers += [("ETag", self.server.tag)] if self.server.tag else []
        sent = bytes(rest[: len(rest) // 2] if fault in ("cut", "stall") else rest)
        self.answer(206 if begin else 200, sent, headers, told=len(rest))
        if fault == "stall":
            self.wfile.flush()
            self.server.gone.wait(60)
        if fault:
            self.close_connection = True

"""Calls loom.test.Peer through loomd with grpcio and prints one JSON line for
each case: {"case": NAME} or {"case": NAME, "error": WHAT WAS WRONG}.

Usage: python3 cases.py TARGET
"""

import json
import os
import sys
import time
import traceback
import uuid

import grpc

TARGET = sys.argv[1]
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
PATIENCE = 30
CASES = []


def case(function):
    CASES.append(function)
    return function


def equal(got, want):
    assert got == want, "got %.200r, want %.200r" % (got, want)


def path(name):
    return "/loom.test.Peer/" + name


def unary(channel, name, request, **options):
    """Calls and returns the reply and the finished call."""
    return channel.unary_unary(path(name)).with_call(request, timeout=PATIENCE, **options)


def failure(call):
    """Runs the call, which has to fail, and returns the error."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


def check_details(error):
    equal(error.code(), grpc.StatusCode.FAILED_PRECONDITION)
    equal(error.details(), "Lager leer: 100 % – später\n")
    trailers = dict(error.trailing_metadata())
    details = trailers["grpc-status-details-bin"]
    assert len(details) > 50, "the details are missing or short"
    equal(trailers["x-details-hex"], details.hex())


def check_ended(channel, identity, *ways):
    reply, _ = unary(channel, "Ended", identity)
    assert reply.decode() in ways, "the server saw the call end with %r" % reply


@case
def unary_message(channel):
    reply, call = unary(channel, "Echo", b"hello")
    equal(reply, b"hello")
    equal(call.code(), grpc.StatusCode.OK)


@case
def empty_message(channel):
    equal(unary(channel, "Echo", b"")[0], b"")


@case
def server_stream(channel):
    replies = channel.unary_stream(path("Count"))(b"1000", timeout=PATIENCE)
    equal([int(reply) for reply in replies], list(range(1000)))


@case
def client_stream(channel):
    messages = (b"%d" % i for i in range(1000))
    reply = channel.stream_unary(path("Collect"))(messages, timeout=PATIENCE)
    # The CRC-32 of "0" to "999" in a row.
    equal(reply, b"1000 1de017e7")


@case
def bidi(channel):
    replies = channel.stream_stream(path("Chat"))((b"%d" % i for i in range(1000)), timeout=PATIENCE)
    equal([int(reply) for reply in replies], list(range(1000)))


@case
def error_details(channel):
    error = failure(lambda: unary(channel, "Fail", b"x"))
    check_details(error)
    equal(list(error.initial_metadata()), [])


@case
def error_after_messages(channel):
    replies = channel.unary_stream(path("FailLate"))(b"x", timeout=PATIENCE)
    equal([next(replies), next(replies)], [b"0", b"1"])
    check_details(failure(lambda: next(replies)))


@case
def unimplemented(channel):
    error = failure(lambda: unary(channel, "Missing", b"x"))
    equal(error.code(), grpc.StatusCode.UNIMPLEMENTED)


@case
def deadline(channel):
    identity = uuid.uuid4().hex.encode()
    started = time.monotonic()
    call = channel.unary_stream(path("Sleep"))(identity, timeout=0.4)
    equal(dict(call.initial_metadata())["x-deadline"], "true")
    error = failure(lambda: next(call))
    took = time.monotonic() - started
    equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    assert 0.35 <= took < 5, "the call took %.3f s of 0.4" % took
    check_ended(channel, identity, "context deadline exceeded", "context canceled")


@case
def cancel(channel):
    identity = uuid.uuid4().hex.encode()
    call = channel.unary_stream(path("Sleep"))(identity)
    call.initial_metadata()
    call.cancel()
    equal(call.code(), grpc.StatusCode.CANCELLED)
    check_ended(channel, identity, "context canceled")


@case
def metadata(channel):
    every = bytes(range(256))
    sent = [("x-one", "first"), ("x-one", "second"), ("x-text", 'a, b; c="d"'),
            ("x-raw-bin", every), ("x-raw-bin", b"\0")]
    _, call = unary(channel, "Metadata", b"x", metadata=sent)
    for got, prefix in ((call.initial_metadata(), "x-"), (call.trailing_metadata(), "t-")):
        values = lambda name: [value for key, value in got if key == prefix + name]
        equal(values("one"), ["first", "second"])
        equal(values("text"), ['a, b; c="d"'])
        equal(values("raw-bin"), [every, b"\0"])


@case
def large_message(channel):
    sent = os.urandom(10 << 20)
    reply, _ = unary(channel, "Echo", sent)
    assert reply == sent, "the reply differs from the request"


@case
def gzip(channel):
    sent = b"loom " * 200000
    reply, call = unary(channel, "Gzip", sent, compression=grpc.Compression.Gzip)
    header = dict(call.initial_metadata())
    equal(header["x-request-encoding"], "gzip")
    assert int(header["x-request-length"]) < 100000, "the request came uncompressed"
    assert reply == sent, "the reply differs from the request"


@case
def concurrent(channel):
    call = channel.unary_unary(path("Echo"))
    futures = [call.future(b"%d" % i, timeout=PATIENCE) for i in range(500)]
    equal([int(future.result()) for future in futures], list(range(500)))


def main():
    with grpc.insecure_channel(TARGET, options=OPTIONS) as channel:
        for run in CASES:
            report = {"case": run.__name__}
            try:
                run(channel)
            except Exception:  # the report is what a failing case is for
                report["error"] = traceback.format_exc()
            print(json.dumps(report), flush=True)


main()

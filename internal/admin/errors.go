package admin

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"loom/internal/inspector"
)

// NotFoundError says that there is no such thing.
type NotFoundError struct{ What string }

// Error says what is missing.
func (e *NotFoundError) Error() string { return e.What }

// RefusedError says why a thing cannot be changed as it is now.
type RefusedError struct{ Why string }

// Error says why.
func (e *RefusedError) Error() string { return e.Why }

// AbortedError says why what was begun came to nothing.
type AbortedError struct{ Why string }

// Error says why.
func (e *AbortedError) Error() string { return e.Why }

// failure makes the status of an error of a Control.
func failure(err error) error {
	if _, ok := errors.AsType[*NotFoundError](err); ok {
		return status.Error(codes.NotFound, err.Error())
	}
	if _, ok := errors.AsType[*RefusedError](err); ok {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	if _, ok := errors.AsType[*AbortedError](err); ok {
		return status.Error(codes.Aborted, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}

// recordFailure makes the status of an error of Records.
func recordFailure(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	code := codes.Internal
	switch inspector.HTTPStatus(err) {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		code = codes.InvalidArgument
	case http.StatusForbidden, http.StatusConflict, http.StatusBadGateway:
		code = codes.FailedPrecondition
	case http.StatusNotFound:
		code = codes.NotFound
	case http.StatusTooManyRequests:
		code = codes.ResourceExhausted
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	case http.StatusGatewayTimeout:
		code = codes.DeadlineExceeded
	}
	return status.Error(code, err.Error())
}

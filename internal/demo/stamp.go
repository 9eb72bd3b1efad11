package demo

import (
	"context"
	"crypto/sha256"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// requestID is the metadata that a call brings and gets back.
const requestID = "x-request-id"

// stamp adds metadata to every answer, as the middleware of a company does: who
// answered and to what, and binary values in headers and in trailers. The error
// of setting it says only that the call is over already, or that it did not
// come over the wire.
func stamp(ctx context.Context, name, method string) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	fingerprint := sha256.Sum256([]byte(method))
	header := metadata.Pairs("x-served-by", name+"-1", "x-span-bin", string(fingerprint[:8]))
	header.Append(requestID, incoming.Get(requestID)...)
	_ = grpc.SetHeader(ctx, header)
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-cost", "1", "x-fingerprint-bin", string(fingerprint[:])))
}

func stampUnary(name string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		stamp(ctx, name, info.FullMethod)
		return next(ctx, in)
	}
}

func stampStream(name string) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		stamp(stream.Context(), name, info.FullMethod)
		return next(service, stream)
	}
}

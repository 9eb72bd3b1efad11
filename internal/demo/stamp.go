package demo

import (
	"context"
	"crypto/sha256"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// requestID is the metadata that a call brings and gets back.
const requestID = "x-request-id"

// stamp adds metadata to every answer of the backend that it names, as the
// middleware of a company does: who answered and to what, and binary values in
// headers and in trailers.
type stamp string

// put ignores the errors of gRPC: they say only that the call is over already.
func (s stamp) put(ctx context.Context, method string) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	fingerprint := sha256.Sum256([]byte(method))
	header := metadata.Pairs("x-served-by", string(s)+"-1", "x-span-bin", string(fingerprint[:8]))
	header.Append(requestID, incoming.Get(requestID)...)
	_ = grpc.SetHeader(ctx, header)
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-cost", "1", "x-fingerprint-bin", string(fingerprint[:])))
}

func (s stamp) unary(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	s.put(ctx, info.FullMethod)
	return next(ctx, in)
}

func (s stamp) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	s.put(stream.Context(), info.FullMethod)
	return next(service, stream)
}

package demo

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// refusal is an error with google.rpc details.
func refusal(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	detailed, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		return status.Errorf(codes.Internal, "attach the details of %q: %v", message, err)
	}
	return detailed.Err()
}

// invalid is INVALID_ARGUMENT on account of one field.
func invalid(field, why string) error {
	return refusal(codes.InvalidArgument, field+": "+why,
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: field, Description: why},
		}},
		&errdetails.LocalizedMessage{Locale: "en", Message: "Please check what you have entered."})
}

// notFound is NOT_FOUND for a resource that nobody has.
func notFound(kind, name, domain string) error {
	return refusal(codes.NotFound, "there is no "+kind+" "+name,
		&errdetails.ErrorInfo{Reason: "UNKNOWN_NAME", Domain: domain, Metadata: map[string]string{kind: name}},
		&errdetails.ResourceInfo{ResourceType: kind, ResourceName: name})
}

// unavailable is UNAVAILABLE for another while.
func unavailable(left time.Duration) error {
	return refusal(codes.Unavailable, "the ledger is failing over to its standby",
		&errdetails.ErrorInfo{Reason: "FAILOVER", Domain: payDomain},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(left.Round(time.Millisecond))})
}

package reflectcache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jhump/protoreflect/v2/grpcreflect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"loom/internal/decode"
)

// errNoService says that reflection works and does not know the service.
var errNoService = errors.New("reflection does not know the service")

// errNoReflection says that there is nobody to ask.
var errNoReflection = errors.New("the backend's reflection cannot be reached")

// reflect asks the backend for the files of a service and links them. One
// stream, closed at the end.
func (c *Cache) reflect(ctx context.Context, backend, service string) (f found) {
	f.source = decode.FromReflection
	heard, err := c.ask(ctx, backend, func(client *grpcreflect.Client, t *tap) error {
		_, err := client.FileContainingSymbol(protoreflect.FullName(service))
		if t.count() == 0 {
			if err == nil {
				return errNoService
			}
			// A gateway without v1 may say the same with the status of the call.
			if grpcreflect.IsElementNotFoundError(err) && t.answered() {
				return fmt.Errorf("%w %s", errNoService, service)
			}
			return err
		}
		// The client gives up at the first file that it cannot link. What came
		// is enough for most messages, so the rest is asked for one by one.
		problems := t.complete(ctx, client)
		l := link(t.raw())
		l.problems = limited(append(problems, l.problems...))
		if l.services[service] == nil {
			f.problems = l.problems
			return fmt.Errorf("%w %s in a usable file (%s)", errNoService, service, strings.Join(l.problems, "; "))
		}
		f.linked = l
		return nil
	})
	// An error about one service says nothing about the others.
	if f.err = err; err != nil && !heard {
		f.refused = err
	}
	return f
}

// askList asks which services there are. refused is the error if reflection as
// a whole does not work.
func (c *Cache) askList(ctx context.Context, backend string) (names []string, refused, err error) {
	heard, err := c.ask(ctx, backend, func(client *grpcreflect.Client, _ *tap) error {
		list, err := client.ListServices()
		for _, n := range list {
			if len(n) <= maxNameBytes && n.IsValid() && len(names) < maxNames {
				names = append(names, string(n))
			}
		}
		return err
	})
	if err != nil && !heard {
		refused = err
	}
	slices.Sort(names)
	return slices.Compact(names), refused, err
}

// ask runs one conversation with a backend's reflection, and reports whether it
// said anything at all. Servers and proxies say in many ways that they have no
// v1, so v1alpha is tried after any error that is not about time or size.
func (c *Cache) ask(ctx context.Context, backend string, talk func(*grpcreflect.Client, *tap) error) (heard bool, err error) {
	if c.opt.Dial == nil {
		return false, errNoReflection
	}
	conn, closer, err := c.opt.Dial(ctx, backend)
	if err != nil {
		return false, fmt.Errorf("connecting to backend %s for reflection: %w", backend, err)
	}
	if closer != nil {
		defer closer.Close()
	}
	var md metadata.MD
	if c.opt.Metadata != nil {
		md = c.opt.Metadata(backend)
	}
	for _, alphaOnly := range []bool{false, true} {
		t := &tap{ClientConnInterface: conn, metadata: md, alphaOnly: alphaOnly}
		client := grpcreflect.NewClientAuto(ctx, t, grpcreflect.WithAllowMissingFileDescriptors())
		e := talk(client, t)
		client.Reset()
		heard = t.answered()
		if e == nil || errors.Is(e, errNoService) {
			return heard, e
		}
		// That there is no v1alpha either says less than what v1 said.
		if err == nil || status.Code(e) != codes.Unimplemented {
			err = e
		}
		if heard || ctx.Err() != nil || !worthAlpha(e) {
			break
		}
	}
	return heard, fmt.Errorf("asking backend %s for reflection: %w", backend, err)
}

// worthAlpha tells whether a v1 error may mean that only v1alpha is there.
// After Unimplemented and Unavailable the client tried it already.
func worthAlpha(err error) bool {
	switch status.Code(err) {
	case codes.Unimplemented, codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		return false
	default:
		return true
	}
}

func limited(list []string) []string { return list[:min(len(list), maxProblems)] }

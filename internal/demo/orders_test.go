package demo

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// encodings notes the compression of all answers.
type encodings struct {
	mu   sync.Mutex
	seen []string
}

func (e *encodings) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (e *encodings) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (e *encodings) HandleConn(context.Context, stats.ConnStats)                       {}
func (e *encodings) HandleRPC(_ context.Context, s stats.RPCStats) {
	if header, ok := s.(*stats.InHeader); ok {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.seen = append(e.seen, header.Compression)
	}
}

func (e *encodings) want(t *testing.T, encoding string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.seen) != 1 || e.seen[0] != encoding {
		t.Errorf("the answers are compressed by %q, want %q", e.seen, encoding)
	}
	e.seen = nil
}

func shop(t *testing.T) (shopv1.OrdersClient, *encodings) {
	t.Helper()
	e := new(encodings)
	return shopv1.NewOrdersClient(dial(t, startBackends(t).Shop(), grpc.WithStatsHandler(e))), e
}

func TestGetOrder(t *testing.T) {
	client, encodings := shop(t)
	ctx := metadata.AppendToOutgoingContext(testContext(t), requestID, "abc")
	var header, trailer metadata.MD
	got, err := client.GetOrder(ctx, &shopv1.GetOrderRequest{OrderId: "ord-1007"}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	encodings.want(t, "")
	order := got.GetOrder()
	if order.GetOrderId() != "ord-1007" || order.GetTotal().GetCents() != sum(order.GetItems()).GetCents() || order.GetTotal().GetCents() == 0 {
		t.Errorf("a strange order: %v", order)
	}
	if payment, err := order.GetPayment().UnmarshalNew(); err != nil {
		t.Errorf("the payment cannot be unpacked: %v", err)
	} else if payment.ProtoReflect().Descriptor().ParentFile().Package() != "demo.shop.v1" {
		t.Errorf("the payment is %v", payment)
	}
	if id := header.Get(requestID); len(id) != 1 || id[0] != "abc" {
		t.Errorf("the request id comes back as %q", id)
	}
	if span := header.Get("x-span-bin"); len(span) != 1 || len(span[0]) != 8 {
		t.Errorf("the header has the binary value %q", span)
	}
	if sum := trailer.Get("x-fingerprint-bin"); len(sum) != 1 || len(sum[0]) != 32 {
		t.Errorf("the trailer has the binary value %q", sum)
	}
}

func TestOrdersFollowTheSeed(t *testing.T) {
	get := func(options ...BackendOption) *shopv1.Order {
		client := shopv1.NewOrdersClient(dial(t, startBackends(t, options...).Shop()))
		got, err := client.GetOrder(testContext(t), &shopv1.GetOrderRequest{OrderId: "ord-1234"})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetOrder()
	}
	first, again, other := get(BackendSeed(7)), get(BackendSeed(7)), get(BackendSeed(8))
	if !proto.Equal(first, again) {
		t.Errorf("one seed, two orders:\n%v\n%v", first, again)
	}
	if proto.Equal(first, other) {
		t.Errorf("two seeds, one order: %v", first)
	}
}

func TestOrdersComeInAllShapes(t *testing.T) {
	payments, lockers, notes := map[string]int{}, 0, 0
	for number := int32(firstOrder); number <= lastOrder; number++ {
		order, err := newOrder(defaultSeed, number)
		if err != nil {
			t.Fatal(err)
		}
		payments[order.GetPayment().GetTypeUrl()]++
		if order.GetLocker() != 0 {
			lockers++
		}
		if order.GiftNote != nil {
			notes++
		}
	}
	if len(payments) != 2 || lockers == 0 || lockers == 1000 || notes == 0 || notes == 1000 {
		t.Errorf("of 1000 orders: payments %v, %d to lockers, %d with notes", payments, lockers, notes)
	}
}

func TestGetOrderRefuses(t *testing.T) {
	client, _ := shop(t)
	_, err := client.GetOrder(testContext(t), &shopv1.GetOrderRequest{OrderId: "1007"})
	wantCode(t, err, codes.InvalidArgument)
	if bad := detail[*errdetails.BadRequest](t, err); bad.GetFieldViolations()[0].GetField() != "order_id" {
		t.Errorf("the details blame %v", bad)
	}
	_, err = client.GetOrder(testContext(t), &shopv1.GetOrderRequest{OrderId: "ord-5000"})
	wantCode(t, err, codes.NotFound)
	if info := detail[*errdetails.ErrorInfo](t, err); info.GetDomain() != shopDomain || info.GetMetadata()["order"] != "ord-5000" {
		t.Errorf("the details say %v", info)
	}
}

// detail returns the google.rpc detail of that type, which must be there.
func detail[T any](t *testing.T, err error) T {
	t.Helper()
	var found T
	if !slices.ContainsFunc(status.Convert(err).Details(), func(d any) (ok bool) {
		found, ok = d.(T)
		return ok
	}) {
		t.Fatalf("%v has no detail of type %T", err, found)
	}
	return found
}

func TestListOrders(t *testing.T) {
	client, encodings := shop(t)
	stream, err := client.ListOrders(testContext(t), &shopv1.ListOrdersRequest{CustomerId: "cus-42", Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	orders := 0
	for {
		got, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if id := got.GetOrder().GetCustomer().GetCustomerId(); id != "cus-42" {
			t.Errorf("got an order of %s", id)
		}
		orders++
	}
	if orders != 3 {
		t.Errorf("got %d orders, want 3", orders)
	}
	encodings.want(t, "gzip")

	stream, err = client.ListOrders(testContext(t), &shopv1.ListOrdersRequest{Limit: 101})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantCode(t, err, codes.InvalidArgument)
}

func TestUploadItems(t *testing.T) {
	client, _ := shop(t)
	upload := func(quantities ...int32) (*shopv1.UploadItemsResponse, error) {
		stream, err := client.UploadItems(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, quantity := range quantities {
			item := &shopv1.Item{Quantity: quantity, Price: &shopv1.Money{Currency: "EUR", Cents: 150}}
			if err := stream.Send(&shopv1.UploadItemsRequest{Item: item}); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		return stream.CloseAndRecv()
	}
	got, err := upload(2, 3)
	if err != nil || got.GetItems() != 2 || got.GetTotal().GetCents() != 750 {
		t.Errorf("got %v (%v), want 2 items and 750 cents", got, err)
	}
	_, err = upload(1, 0)
	wantCode(t, err, codes.InvalidArgument)
	if bad := detail[*errdetails.BadRequest](t, err); bad.GetFieldViolations()[0].GetField() != "items[1].quantity" {
		t.Errorf("the details blame %v", bad)
	}
	many := make([]int32, maxUpload+1)
	for i := range many {
		many[i] = 1
	}
	_, err = upload(many...)
	wantCode(t, err, codes.InvalidArgument)
}

func TestTrack(t *testing.T) {
	client, _ := shop(t)
	stream, err := client.Track(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for want := int32(1); want <= 3; want++ {
		if err := stream.Send(&shopv1.TrackRequest{OrderId: "ord-1000"}); err != nil {
			t.Fatal(err)
		}
		got, err := stream.Recv()
		if err != nil || got.GetSequence() != want {
			t.Fatalf("got answer %v (%v), want number %d", got, err, want)
		}
	}
	if err := stream.Send(&shopv1.TrackRequest{OrderId: "ord-0000"}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantCode(t, err, codes.NotFound)

	stream, err = client.Track(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("a call without questions ends with %v", err)
	}
}

func TestGetCatalogIsAMegabyte(t *testing.T) {
	client, encodings := shop(t)
	got, err := client.GetCatalog(testContext(t), &shopv1.GetCatalogRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if size := proto.Size(got); size < 1<<20 || size > 1<<20+1<<16 {
		t.Errorf("the catalog has %d bytes", size)
	}
	encodings.want(t, "")
}

func TestGetReport(t *testing.T) {
	client, encodings := shop(t)
	_, err := client.GetReport(testContext(t), &shopv1.GetReportRequest{Month: "2026-13"})
	wantCode(t, err, codes.InvalidArgument)
	encodings.want(t, "")
	got, err := client.GetReport(testContext(t), &shopv1.GetReportRequest{Month: "2026-03"})
	if err != nil || got.GetOrders() == 0 || len(got.GetOrdersByCountry()) != 3 {
		t.Errorf("got the report %v (%v)", got, err)
	}
	encodings.want(t, "gzip")
}

func TestGetReportIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrders(defaultSeed)
		for range 20 {
			start := time.Now()
			if _, err := o.GetReport(t.Context(), &shopv1.GetReportRequest{Month: "2026-03"}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < 1500*time.Millisecond || took > 3*time.Second {
				t.Errorf("a report took %s", took)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := o.GetReport(ctx, &shopv1.GetReportRequest{Month: "2026-03"})
		wantCode(t, err, codes.DeadlineExceeded)
	})
}

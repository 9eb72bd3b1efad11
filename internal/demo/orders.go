package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// shopDomain is the domain in the error details of the shop.
const shopDomain = "shop.demo"

// maxUpload bounds the items of one upload.
const maxUpload = 100

// orders is the Orders service. It is safe for concurrent use.
type orders struct {
	shopv1.UnimplementedOrdersServer

	// Immutable.
	seed    uint64
	catalog *shopv1.GetCatalogResponse
	orderID *regexp.Regexp
	month   *regexp.Regexp

	dice *dice
}

func newOrders(seed uint64) *orders {
	d := newDice(seed, "shop")
	return &orders{
		seed: seed, catalog: newCatalog(d), dice: d,
		orderID: regexp.MustCompile(`^ord-[0-9]{4}$`),
		month:   regexp.MustCompile(`^[0-9]{4}-(0[1-9]|1[0-2])$`),
	}
}

// find returns the order of that id, or the error that the caller gets.
func (o *orders) find(id string) (*shopv1.Order, error) {
	if !o.orderID.MatchString(id) {
		return nil, invalid("order_id", "must be of the form ord-1234")
	}
	number, err := strconv.ParseInt(strings.TrimPrefix(id, "ord-"), 10, 32)
	if err != nil || number < firstOrder || number > lastOrder {
		return nil, notFound("order", id, shopDomain)
	}
	return o.make(int32(number))
}

func (o *orders) make(number int32) (*shopv1.Order, error) {
	order, err := newOrder(o.seed, number)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return order, nil
}

func (o *orders) GetOrder(ctx context.Context, in *shopv1.GetOrderRequest) (*shopv1.GetOrderResponse, error) {
	if err := o.dice.wait(ctx, 2*time.Millisecond, 30*time.Millisecond); err != nil {
		return nil, err
	}
	order, err := o.find(in.GetOrderId())
	if err != nil {
		return nil, err
	}
	return &shopv1.GetOrderResponse{Order: order}, nil
}

func (o *orders) ListOrders(in *shopv1.ListOrdersRequest, stream grpc.ServerStreamingServer[shopv1.ListOrdersResponse]) error {
	limit := in.GetLimit()
	if limit < 0 || limit > 100 {
		return invalid("limit", "must be from 1 to 100")
	}
	if limit == 0 {
		limit = 10
	}
	compress(stream.Context())
	first := o.dice.number(firstOrder, lastOrder-limit)
	for i := range limit {
		order, err := o.make(first + i)
		if err != nil {
			return err
		}
		order.Customer.CustomerId = in.GetCustomerId()
		if err := stream.Send(&shopv1.ListOrdersResponse{Order: order}); err != nil {
			return err
		}
		if err := o.dice.wait(stream.Context(), 10*time.Millisecond, 60*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (o *orders) UploadItems(stream grpc.ClientStreamingServer[shopv1.UploadItemsRequest, shopv1.UploadItemsResponse]) error {
	var items []*shopv1.Item
	var count int32
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if count == maxUpload {
			return invalid("items", fmt.Sprintf("must be %d at most", maxUpload))
		}
		if in.GetItem().GetQuantity() <= 0 {
			return invalid(fmt.Sprintf("items[%d].quantity", count), "must be above 0")
		}
		items = append(items, in.GetItem())
		count++
	}
	return stream.SendAndClose(&shopv1.UploadItemsResponse{
		OrderId: orderID(o.dice.number(firstOrder, lastOrder)),
		Items:   count,
		Total:   sum(items),
	})
}

func (o *orders) Track(stream grpc.BidiStreamingServer[shopv1.TrackRequest, shopv1.TrackResponse]) error {
	for sequence := int32(1); ; sequence++ {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := o.find(in.GetOrderId()); err != nil {
			return err
		}
		if err := o.dice.wait(stream.Context(), 10*time.Millisecond, 50*time.Millisecond); err != nil {
			return err
		}
		err = stream.Send(&shopv1.TrackResponse{
			OrderId:   in.GetOrderId(),
			Sequence:  sequence,
			Latitude:  52.5 + float64(o.dice.number(0, 9999))/1e5,
			Longitude: 13.4 + float64(o.dice.number(0, 9999))/1e5,
			ArrivesIn: durationpb.New(time.Hour / time.Duration(sequence+1)),
		})
		if err != nil {
			return err
		}
	}
}

// GetReport takes so long that a person sees the call open.
func (o *orders) GetReport(ctx context.Context, in *shopv1.GetReportRequest) (*shopv1.GetReportResponse, error) {
	if !o.month.MatchString(in.GetMonth()) {
		return nil, invalid("month", "must be of the form 2026-01")
	}
	if err := o.dice.wait(ctx, 1500*time.Millisecond, 3*time.Second); err != nil {
		return nil, err
	}
	compress(ctx)
	count := int64(o.dice.number(9_000, 12_000))
	return &shopv1.GetReportResponse{
		Month:           in.GetMonth(),
		Orders:          count,
		Revenue:         &shopv1.Money{Currency: "EUR", Cents: 4_217 * count},
		OrdersByCountry: map[string]int64{"DE": count / 2, "FR": count / 3, "PL": count - count/2 - count/3},
	}, nil
}

func (o *orders) GetCatalog(ctx context.Context, _ *shopv1.GetCatalogRequest) (*shopv1.GetCatalogResponse, error) {
	if err := o.dice.wait(ctx, 5*time.Millisecond, 20*time.Millisecond); err != nil {
		return nil, err
	}
	return o.catalog, nil
}

// compress asks for gzip. It is refused where the other side did not offer to
// take it, and then the answer goes out as it is.
func compress(ctx context.Context) {
	_ = grpc.SetSendCompressor(ctx, gzip.Name)
}

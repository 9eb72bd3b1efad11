package demo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	payv1 "loom/internal/demo/pay/v1"
	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
)

// scenario is one call as an application makes it, with a ctx that ends when it
// returns. Its error is the one that the application saw.
type scenario func(a *app, ctx context.Context) error

// deck deals scenarios: each comes as often as it is in the deck before any
// comes again, so that all are seen within one round. One goroutine owns it.
type deck struct {
	dice  *dice
	first []scenario // dealt before the rounds: a call of each kind, for who just came
	cards []scenario
	dealt int
}

func newDeck(seed uint64) *deck {
	d := &deck{
		dice:  newDice(seed, "traffic"),
		first: []scenario{(*app).readOrder, (*app).browse, (*app).upload, (*app).track},
	}
	for _, of := range []struct {
		times int
		play  scenario
	}{
		{4, (*app).readOrder},
		{1, (*app).readUnknownOrder},
		{1, (*app).readMisspeltOrder},
		{2, (*app).browse},
		{1, (*app).stopBrowsing},
		{2, (*app).upload},
		{1, (*app).uploadNothing},
		{2, (*app).track},
		{1, (*app).report},
		{1, (*app).reportTooLate},
		{1, (*app).stopReport},
		{1, (*app).loadCatalog},
		{6, (*app).charge},
		{1, (*app).chargeStranger},
		{2, (*app).readBalance},
		{1, (*app).readEntries},
	} {
		for range of.times {
			d.cards = append(d.cards, of.play)
		}
	}
	d.dealt = len(d.cards)
	return d
}

func (d *deck) draw() scenario {
	if len(d.first) > 0 {
		play := d.first[0]
		d.first = d.first[1:]
		return play
	}
	if d.dealt == len(d.cards) {
		d.dice.shuffle(len(d.cards), func(i, j int) { d.cards[i], d.cards[j] = d.cards[j], d.cards[i] })
		d.dealt = 0
	}
	d.dealt++
	return d.cards[d.dealt-1]
}

// sign adds the metadata that all calls of the application have.
func (a *app) sign(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx,
		requestID, hex.EncodeToString(a.dice.bytes(8)),
		"authorization", "Bearer demo-"+a.name,
		"x-tier", a.tier,
		"x-device-bin", string(a.dice.bytes(6)),
	)
}

func (a *app) someOrder() string   { return orderID(a.dice.number(firstOrder, lastOrder)) }
func (a *app) someAccount() string { return accountName(a.dice.number(1, accounts)) }

func (a *app) getOrder(ctx context.Context, id string) error {
	_, err := a.orders.GetOrder(ctx, &shopv1.GetOrderRequest{OrderId: id})
	return err
}

func (a *app) readOrder(ctx context.Context) error { return a.getOrder(ctx, a.someOrder()) }

func (a *app) readUnknownOrder(ctx context.Context) error {
	return a.getOrder(ctx, orderID(a.dice.number(lastOrder+1, 9999)))
}

func (a *app) readMisspeltOrder(ctx context.Context) error {
	return a.getOrder(ctx, strings.TrimPrefix(a.someOrder(), "ord-"))
}

func (a *app) listOrders(ctx context.Context, limit int32) (grpc.ServerStreamingClient[shopv1.ListOrdersResponse], error) {
	return a.orders.ListOrders(ctx, &shopv1.ListOrdersRequest{
		CustomerId: customerID(a.dice), Limit: limit,
	})
}

func (a *app) browse(ctx context.Context) error {
	stream, err := a.listOrders(ctx, a.dice.number(3, 12))
	for err == nil {
		_, err = stream.Recv()
	}
	return unlessEnd(err)
}

// stopBrowsing cancels after the second order.
func (a *app) stopBrowsing(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.listOrders(ctx, 50)
	for n := 1; err == nil; n++ {
		_, err = stream.Recv()
		if n == 2 {
			cancel()
		}
	}
	return unlessEnd(err)
}

func (a *app) uploadItems(ctx context.Context, quantities ...int32) error {
	stream, err := a.orders.UploadItems(ctx, grpc.UseCompressor(gzip.Name))
	if err != nil {
		return err
	}
	for i, quantity := range quantities {
		err := stream.Send(&shopv1.UploadItemsRequest{Item: &shopv1.Item{
			Sku:      fmt.Sprintf("yarn-%03d", i),
			Quantity: quantity,
			Price:    newPrice(a.dice),
		}})
		if errors.Is(err, io.EOF) {
			break // The backend has answered already; CloseAndRecv says what.
		}
		if err != nil {
			return err
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}

func (a *app) upload(ctx context.Context) error {
	return a.uploadItems(ctx, 1, a.dice.number(1, 9), 2, a.dice.number(1, 9), 1)
}

// uploadNothing has an item of which there is none.
func (a *app) uploadNothing(ctx context.Context) error {
	return a.uploadItems(ctx, 1, 0)
}

// track asks, waits for the answer and for a moment, and asks again.
func (a *app) track(ctx context.Context) error {
	stream, err := a.orders.Track(ctx)
	if err != nil {
		return err
	}
	id := a.someOrder()
	for _, note := range []string{"where is it?", "and now?", "still waiting", "thanks"} {
		err := stream.Send(&shopv1.TrackRequest{OrderId: id, Note: note})
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
		if err := a.dice.wait(ctx, 50*time.Millisecond, 250*time.Millisecond); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	_, err = stream.Recv()
	return unlessEnd(err)
}

func (a *app) report(ctx context.Context) error {
	month := fmt.Sprintf("2026-%02d", a.dice.number(1, 12))
	_, err := a.orders.GetReport(ctx, &shopv1.GetReportRequest{Month: month})
	return err
}

// reportTooLate has a deadline that no report can keep.
func (a *app) reportTooLate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 800*time.Millisecond)
	defer cancel()
	return a.report(ctx)
}

// stopReport cancels before there is any answer.
func (a *app) stopReport(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer time.AfterFunc(400*time.Millisecond, cancel).Stop()
	defer cancel()
	return a.report(ctx)
}

func (a *app) loadCatalog(ctx context.Context) error {
	_, err := a.orders.GetCatalog(ctx, &shopv1.GetCatalogRequest{})
	return err
}

func (a *app) chargeAccount(ctx context.Context, account string) error {
	_, err := a.ledger.Charge(ctx, &payv1.ChargeRequest{
		Account: account, Cents: int64(a.dice.number(500, 6000)), OrderId: a.someOrder(),
	})
	return err
}

func (a *app) charge(ctx context.Context) error { return a.chargeAccount(ctx, a.someAccount()) }

func (a *app) chargeStranger(ctx context.Context) error {
	return a.chargeAccount(ctx, accountName(accounts+1))
}

func (a *app) readBalance(ctx context.Context) error {
	_, err := a.ledger.GetBalance(ctx, &payv1.GetBalanceRequest{Account: a.someAccount()})
	return err
}

func (a *app) readEntries(ctx context.Context) error {
	stream, err := a.ledger.ListEntries(ctx, &payv1.ListEntriesRequest{Account: a.someAccount()})
	for err == nil {
		_, err = stream.Recv()
	}
	return unlessEnd(err)
}

// unlessEnd is nil for the end of a stream, which is how a good one ends.
func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

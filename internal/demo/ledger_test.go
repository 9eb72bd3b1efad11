package demo

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	payv1 "loom/internal/demo/pay/v1"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestLedgerFailsInSpells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := newLedger(defaultSeed, spells{start: start, well: defaultWell, failing: defaultFailing})
		failed := 0
		for range 400 {
			_, err := l.GetBalance(t.Context(), &payv1.GetBalanceRequest{Account: "acc-1"})
			now := time.Now()
			want := codes.OK
			if now.Sub(start)%(37*time.Second) >= 25*time.Second {
				want = codes.Unavailable
				failed++
			}
			if status.Code(err) != want {
				t.Fatalf("after %s: got %v, want %v", now.Sub(start), err, want)
			}
			if want == codes.Unavailable {
				wait := detail[*errdetails.RetryInfo](t, err).GetRetryDelay().AsDuration()
				if back := now.Add(wait).Sub(start) % (37 * time.Second); back > time.Millisecond && back < 37*time.Second-time.Millisecond {
					t.Fatalf("after %s the ledger promises to be back in %s", now.Sub(start), wait)
				}
			}
			time.Sleep(250 * time.Millisecond)
		}
		if failed < 60 {
			t.Errorf("only %d of 400 calls failed", failed)
		}
	})
}

func TestLedgerBooks(t *testing.T) {
	client := payv1.NewLedgerClient(dial(t, startBackends(t, Spells(time.Hour, 0)).Pay()))
	ctx := testContext(t)
	charge := func(cents int64) (*payv1.ChargeResponse, error) {
		return client.Charge(ctx, &payv1.ChargeRequest{Account: "acc-3", Cents: cents, OrderId: "ord-1000"})
	}
	for i := range int64(maxEntries + 2) {
		got, err := charge(10)
		if err != nil || got.GetBalanceCents() != salaryCents-10*(i+1) || got.GetEntry().GetOrderId() != "ord-1000" {
			t.Fatalf("charge %d: got %v (%v)", i+1, got, err)
		}
	}
	got, err := client.GetBalance(ctx, &payv1.GetBalanceRequest{Account: "acc-3"})
	if err != nil || got.GetBalanceCents() != salaryCents-10*(maxEntries+2) {
		t.Errorf("the balance is %v (%v)", got, err)
	}
	numbers := entryNumbers(t, client, "acc-3")
	if len(numbers) != maxEntries || numbers[0] != maxEntries+2 || numbers[maxEntries-1] != 3 {
		t.Errorf("the entries are %d, want the newest %d, newest first", numbers, maxEntries)
	}

	_, err = charge(salaryCents)
	wantCode(t, err, codes.FailedPrecondition)
	if of := detail[*errdetails.PreconditionFailure](t, err).GetViolations()[0].GetSubject(); of != "acc-3" {
		t.Errorf("the details blame %s", of)
	}
	if _, err := charge(salaryCents); err != nil {
		t.Errorf("after payday: %v", err)
	}
}

func entryNumbers(t *testing.T, client payv1.LedgerClient, account string) []uint64 {
	t.Helper()
	stream, err := client.ListEntries(testContext(t), &payv1.ListEntriesRequest{Account: account})
	if err != nil {
		t.Fatal(err)
	}
	var numbers []uint64
	for {
		got, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return numbers
		}
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, got.GetEntry().GetNumber())
	}
}

func TestLedgerRefuses(t *testing.T) {
	client := payv1.NewLedgerClient(dial(t, startBackends(t, Spells(time.Hour, 0)).Pay()))
	ctx := testContext(t)
	_, err := client.Charge(ctx, &payv1.ChargeRequest{Account: "acc-1"})
	wantCode(t, err, codes.InvalidArgument)
	_, err = client.Charge(ctx, &payv1.ChargeRequest{Account: "acc-9", Cents: 1})
	wantCode(t, err, codes.NotFound)
	_, err = client.GetBalance(ctx, &payv1.GetBalanceRequest{Account: ""})
	wantCode(t, err, codes.NotFound)
	stream, err := client.ListEntries(ctx, &payv1.ListEntriesRequest{Account: "acc-9"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantCode(t, err, codes.NotFound)
}

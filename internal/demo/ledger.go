package demo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	payv1 "loom/internal/demo/pay/v1"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// payDomain is the domain in the error details of the ledger.
	payDomain = "pay.demo"
	// accounts is how many there are, acc-1 and up.
	accounts = 8
	// salaryCents comes onto an account whenever it cannot pay, so that
	// the demo never runs dry.
	salaryCents = 20_000
	// maxEntries bounds what is kept of an account.
	maxEntries = 20
)

func accountName(number int32) string { return fmt.Sprintf("acc-%d", number) }

// spells says when a backend is well and when it fails: in turns, from start.
// It never changes.
type spells struct {
	start         time.Time
	well, failing time.Duration
}

// failingFor returns how long the backend goes on failing, 0 if it is well.
func (s spells) failingFor(now time.Time) time.Duration {
	at := now.Sub(s.start) % (s.well + s.failing)
	if at < s.well {
		return 0
	}
	return s.well + s.failing - at
}

// account is what the ledger knows of one account.
type account struct {
	cents   int64
	entries []*payv1.Entry // newest last
}

// ledger is the Ledger service. It is safe for concurrent use.
type ledger struct {
	payv1.UnimplementedLedgerServer

	// Immutable.
	spells spells

	dice *dice

	mu       sync.Mutex // guards the following
	accounts map[string]*account
	booked   uint64
}

func newLedger(seed uint64, s spells) *ledger {
	l := &ledger{spells: s, dice: newDice(seed, "pay"), accounts: make(map[string]*account)}
	for i := range int32(accounts) {
		l.accounts[accountName(i+1)] = &account{cents: salaryCents}
	}
	return l
}

// begin takes the time that a call takes, and fails it in a spell.
func (l *ledger) begin(ctx context.Context) error {
	if err := l.dice.wait(ctx, 3*time.Millisecond, 15*time.Millisecond); err != nil {
		return err
	}
	if left := l.spells.failingFor(time.Now()); left > 0 {
		return unavailable(left)
	}
	return nil
}

func (l *ledger) Charge(ctx context.Context, in *payv1.ChargeRequest) (*payv1.ChargeResponse, error) {
	if err := l.begin(ctx); err != nil {
		return nil, err
	}
	if in.GetCents() <= 0 {
		return nil, invalid("cents", "must be above 0")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.accounts[in.GetAccount()]
	if !ok {
		return nil, notFound("account", in.GetAccount(), payDomain)
	}
	if in.GetCents() > a.cents {
		l.bookLocked(a, salaryCents, "")
		return nil, refusal(codes.FailedPrecondition, "the account does not hold enough",
			&errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{
				{Type: "BALANCE", Subject: in.GetAccount(), Description: "try again on payday"},
			}})
	}
	entry := l.bookLocked(a, -in.GetCents(), in.GetOrderId())
	return &payv1.ChargeResponse{Entry: entry, BalanceCents: a.cents}, nil
}

func (l *ledger) GetBalance(ctx context.Context, in *payv1.GetBalanceRequest) (*payv1.GetBalanceResponse, error) {
	if err := l.begin(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.accounts[in.GetAccount()]
	if !ok {
		return nil, notFound("account", in.GetAccount(), payDomain)
	}
	return &payv1.GetBalanceResponse{BalanceCents: a.cents}, nil
}

func (l *ledger) ListEntries(in *payv1.ListEntriesRequest, stream grpc.ServerStreamingServer[payv1.ListEntriesResponse]) error {
	if err := l.begin(stream.Context()); err != nil {
		return err
	}
	l.mu.Lock()
	a, ok := l.accounts[in.GetAccount()]
	var entries []*payv1.Entry
	if ok {
		entries = slices.Clone(a.entries)
	}
	l.mu.Unlock()
	if !ok {
		return notFound("account", in.GetAccount(), payDomain)
	}
	for _, entry := range slices.Backward(entries) {
		if err := stream.Send(&payv1.ListEntriesResponse{Entry: entry}); err != nil {
			return err
		}
	}
	return nil
}

// bookLocked adds to the account. Entries never change once booked.
func (l *ledger) bookLocked(a *account, cents int64, orderID string) *payv1.Entry {
	l.booked++
	entry := &payv1.Entry{Number: l.booked, Cents: cents, BookedAt: timestamppb.Now()}
	if orderID != "" {
		entry.OrderId = new(orderID)
	}
	a.cents += cents
	if len(a.entries) == maxEntries {
		a.entries = slices.Delete(a.entries, 0, 1)
	}
	a.entries = append(a.entries, entry)
	return entry
}

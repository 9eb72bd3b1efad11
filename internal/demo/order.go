package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The orders that somebody has placed.
const (
	firstOrder = 1000
	lastOrder  = 1999
)

func orderID(number int) string { return fmt.Sprintf("ord-%04d", number) }

// newOrder makes up the order of that number, the same for the same seed.
func newOrder(seed uint64, number int) (*shopv1.Order, error) {
	random := rand.New(rand.NewPCG(seed, uint64(number)))
	customer := newCustomer(random)
	items := newItems(random)
	total := sum(items)
	payment, err := newPayment(random, total)
	if err != nil {
		return nil, fmt.Errorf("pack the payment of order %d: %w", number, err)
	}
	opened := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	order := &shopv1.Order{
		OrderId:  orderID(number),
		Customer: customer,
		Status:   shopv1.OrderStatus(1 + random.IntN(4)),
		Items:    items,
		Total:    total,
		PlacedAt: timestamppb.New(opened.Add(time.Duration(number-firstOrder) * 17 * time.Minute)),
		Payment:  payment,
		Labels:   map[string]string{"channel": one(random, "web", "app", "phone"), "country": one(random, "DE", "FR", "PL")},
	}
	if random.IntN(4) == 0 {
		order.GiftNote = proto.String("Alles Gute! 🎁")
	}
	if random.IntN(3) == 0 {
		order.Delivery = &shopv1.Order_Locker{Locker: int32(1 + random.IntN(400))}
	} else {
		order.Delivery = &shopv1.Order_Address{Address: fmt.Sprintf("%d Mill Lane", 1+random.IntN(90))}
	}
	return order, nil
}

func newCustomer(random *rand.Rand) *shopv1.Customer {
	name := one(random, "Ada", "Grace", "Edsger", "Barbara", "Tony", "Zoë")
	id := fmt.Sprintf("cus-%02d", random.IntN(100))
	return &shopv1.Customer{CustomerId: id, Name: name, Email: id + "@shop.example"}
}

func newItems(random *rand.Rand) []*shopv1.Item {
	items := make([]*shopv1.Item, 1+random.IntN(4))
	for i := range items {
		items[i] = &shopv1.Item{
			Sku:      fmt.Sprintf("%s-%03d", one(random, "yarn", "needle", "shuttle", "reed"), random.IntN(1000)),
			Quantity: int32(1 + random.IntN(5)),
			Price:    &shopv1.Money{Currency: "EUR", Cents: int64(199 + 100*random.IntN(80))},
		}
	}
	return items
}

// newPayment packs one of the two kinds of payment.
func newPayment(random *rand.Rand, total *shopv1.Money) (*anypb.Any, error) {
	if random.IntN(3) == 0 {
		return anypb.New(&shopv1.Voucher{Code: fmt.Sprintf("LOOM-%05d", random.IntN(100_000)), Value: total})
	}
	token := make([]byte, 12)
	for i := range token {
		token[i] = byte(random.Uint32())
	}
	return anypb.New(&shopv1.CardPayment{
		Brand: one(random, "visa", "mastercard"), LastFour: fmt.Sprintf("%04d", random.IntN(10_000)), Token: token,
	})
}

func sum(items []*shopv1.Item) *shopv1.Money {
	total := &shopv1.Money{Currency: "EUR"}
	for _, item := range items {
		total.Cents += int64(item.GetQuantity()) * item.GetPrice().GetCents()
	}
	return total
}

func one(random *rand.Rand, of ...string) string { return of[random.IntN(len(of))] }

// catalogBytes is the size of the pictures in the catalog: a megabyte, which
// is far more than any window or buffer on the way.
const catalogBytes = 1 << 20

// newCatalog makes up the products of the shop.
func newCatalog(d *dice) *shopv1.GetCatalogResponse {
	const products = 64
	catalog := new(shopv1.GetCatalogResponse)
	for i := range products {
		catalog.Products = append(catalog.Products, &shopv1.Product{
			Sku:       fmt.Sprintf("yarn-%03d", i),
			Name:      fmt.Sprintf("Yarn, shade %d", i),
			Price:     &shopv1.Money{Currency: "EUR", Cents: int64(d.number(199, 999))},
			Thumbnail: d.bytes(catalogBytes / products),
		})
	}
	return catalog
}

package demo

import (
	"fmt"
	"time"

	shopv1 "loom/internal/demo/shop/v1"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The orders that somebody has placed.
const (
	firstOrder = 1000
	lastOrder  = 1999
)

func orderID(number int32) string { return fmt.Sprintf("ord-%04d", number) }

// newOrder makes up the order of that number, the same for the same seed.
func newOrder(seed uint64, number int32) (*shopv1.Order, error) {
	id := orderID(number)
	d := newDice(seed, id)
	items := newItems(d)
	total := sum(items)
	payment, err := newPayment(d, total)
	if err != nil {
		return nil, fmt.Errorf("pack the payment of %s: %w", id, err)
	}
	opened := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	order := &shopv1.Order{
		OrderId:  id,
		Customer: newCustomer(d),
		Status:   shopv1.OrderStatus(d.number(1, 4)),
		Items:    items,
		Total:    total,
		PlacedAt: timestamppb.New(opened.Add(time.Duration(number-firstOrder) * 17 * time.Minute)),
		Payment:  payment,
		Labels:   map[string]string{"channel": d.one("web", "app", "phone"), "country": d.one("DE", "FR", "PL")},
	}
	if d.chance(4) {
		order.GiftNote = new("Alles Gute! 🎁")
	}
	if d.chance(3) {
		order.Delivery = &shopv1.Order_Locker{Locker: d.number(1, 400)}
	} else {
		order.Delivery = &shopv1.Order_Address{Address: fmt.Sprintf("%d Mill Lane", d.number(1, 90))}
	}
	return order, nil
}

func newCustomer(d *dice) *shopv1.Customer {
	id := customerID(d)
	return &shopv1.Customer{
		CustomerId: id,
		Name:       d.one("Ada", "Grace", "Edsger", "Barbara", "Tony", "Zoë"),
		Email:      id + "@shop.example",
	}
}

func customerID(d *dice) string { return fmt.Sprintf("cus-%02d", d.number(0, 99)) }

func newItems(d *dice) []*shopv1.Item {
	items := make([]*shopv1.Item, d.number(1, 4))
	for i := range items {
		items[i] = &shopv1.Item{
			Sku:      fmt.Sprintf("%s-%03d", d.one("yarn", "needle", "shuttle", "reed"), d.number(0, 999)),
			Quantity: d.number(1, 5),
			Price:    newPrice(d),
		}
	}
	return items
}

func newPrice(d *dice) *shopv1.Money {
	return &shopv1.Money{Currency: "EUR", Cents: int64(d.number(199, 7999))}
}

// newPayment packs one of the two kinds of payment.
func newPayment(d *dice, total *shopv1.Money) (*anypb.Any, error) {
	if d.chance(3) {
		return anypb.New(&shopv1.Voucher{Code: fmt.Sprintf("LOOM-%05d", d.number(0, 99_999)), Value: total})
	}
	return anypb.New(&shopv1.CardPayment{
		Brand: d.one("visa", "mastercard"), LastFour: fmt.Sprintf("%04d", d.number(0, 9999)), Token: d.bytes(12),
	})
}

func sum(items []*shopv1.Item) *shopv1.Money {
	total := &shopv1.Money{Currency: "EUR"}
	for _, item := range items {
		total.Cents += int64(item.GetQuantity()) * item.GetPrice().GetCents()
	}
	return total
}

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
			Price:     newPrice(d),
			Thumbnail: d.bytes(catalogBytes / products),
		})
	}
	return catalog
}

// Package shopv1 is generated from the protobuf files of demo.shop.v1, the
// shop of the demo. Change those and run tools/generate.sh.
package shopv1

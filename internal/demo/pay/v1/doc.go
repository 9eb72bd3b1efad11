// Package payv1 is generated from the protobuf files of demo.pay.v1, the
// accounts of the demo. Change those and run tools/generate.sh.
package payv1

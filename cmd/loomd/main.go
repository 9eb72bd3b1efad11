// Command loomd relays gRPC calls to their backends. See README.md, or run
// loomd -help.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}

package admin

import (
	"os"
	"testing"

	"loom/internal/loomtest"
)

func TestMain(m *testing.M) { os.Exit(loomtest.CheckLeaksMain(m)) }

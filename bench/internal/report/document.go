package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"loom/bench/internal/suite"
)

const explanation = `Primary figure: CPU time of all processes of a proxy, user and system, divided by
finished requests, under the most load that two cores shared by load generator,
proxy and backend bear. Medians of interleaved runs; IQR is the distance of the
quartiles. Latency is measured by an open loop with intended start times at half
the rate of the slowest, and given as what a proxy adds to the direct connection
(in parentheses: the direct connection itself). A request of the bidi load is one
round trip on an open stream. RSS counts pages shared by several processes of a
proxy once for each.
`

// Document is RESULTS.md.
type Document struct {
	Date    time.Time
	Machine string
	Options suite.Options
	Result  suite.Result
}

// Write writes the document as Markdown.
func (d Document) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# loomd beside its peers\n\nWritten by `make bench` on %s.\n\n", d.Date.UTC().Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(&b, "- Machine: %s\n", d.Machine)
	for _, v := range d.Result.Versions {
		fmt.Fprintf(&b, "- %s: %s\n", v.Peer, v.Text)
	}
	fmt.Fprintf(&b, "- Runs: %d at saturation, %d at a fixed rate, %v each after a warm-up of %v\n\n",
		d.Options.Runs, d.Options.LatencyRuns, d.Options.Duration, d.Options.WarmUp)
	b.WriteString(explanation)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return Summary(w, d.Result)
}

// Summary writes what was measured, without what it was measured on.
func Summary(w io.Writer, res suite.Result) error {
	var b bytes.Buffer
	for _, write := range []func(io.Writer, suite.Result) error{writeLoads, writeIdle, writeSteady, writeMixed, writeTargets, writeRatios} {
		// Parts about what was not measured are empty.
		b.Reset()
		if err := write(&b, res); err != nil {
			return err
		}
		if b.Len() == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s", b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
